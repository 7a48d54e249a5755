//! What a client is asked to do, and the figures it answers with.

use serde::{Deserialize, Serialize};

/// One thing to measure. It goes to a client as a line of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Case {
    /// Whole answers of 700 bytes.
    Unary {
        /// How many calls are under way at once.
        in_flight: usize,
        /// How many are made altogether.
        calls: usize,
    },
    /// Streams of one chunk's text each event, one after the other.
    Stream {
        /// What is in the chunks.
        text: Text,
        /// How the bytes come.
        packets: Packets,
        /// Chunks of each stream.
        chunks: usize,
        /// How many streams are read.
        streams: usize,
    },
    /// Streams that are all open before any of them goes on.
    Many {
        /// How many.
        streams: usize,
        /// Chunks of each stream.
        chunks: usize,
    },
    /// A prompt of so many bytes.
    Large {
        /// Bytes of the prompt.
        bytes: usize,
        /// How many calls are made.
        calls: usize,
    },
    /// The first call of a process.
    First,
}

/// What is in the chunks of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Text {
    /// `content`.
    Plain,
    /// `reasoning_content`, beside an empty `content`.
    Reasoning,
}

/// How the bytes of a stream come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Packets {
    /// A write for each event.
    Small,
    /// All events in one write.
    Big,
}

/// What a case took. What it doesn't have is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// CPU time of the client's process, user and system, in nanoseconds a call or chunk.
    pub cpu: f64,
    /// The middle of the calls' times, in microseconds.
    pub p50: f64,
    /// The time that one in a hundred calls takes longer than, in microseconds.
    pub p99: f64,
    /// Calls a second, or chunks.
    pub rate: f64,
    /// Until the first event of a stream, or of all the streams that are open; the middle, in microseconds.
    pub first: f64,
    /// Allocations a call or chunk; one that grows counts again. Only of a client that counts.
    pub allocations: f64,
    /// Bytes on the heap at most, in a call, or for each open stream. Only of a client that counts.
    pub heap: f64,
    /// Memory of the process at most, over what it had before, in bytes.
    pub resident: f64,
    /// How evenly open streams get on, by Jain's index of their chunks when half of all are there: 1 where all have the
    /// same, 1/n where one has everything.
    pub fairness: f64,
}

impl Figures {
    /// The figures of several rounds: the least CPU time and memory, since whatever else the machine does only adds to
    /// them; of the rest the middle.
    ///
    /// ```
    /// use modelswitch_bench::case::Figures;
    ///
    /// let round = |cpu, p50| Figures { cpu, p50, ..Figures::default() };
    /// let all = Figures::of(&[round(3.0, 10.0), round(1.0, 30.0), round(2.0, 20.0)]);
    /// assert_eq!((all.cpu, all.p50), (1.0, 20.0));
    /// ```
    pub fn of(rounds: &[Self]) -> Self {
        let all = |figure: fn(&Self) -> f64| {
            let mut all: Vec<f64> = rounds.iter().map(figure).collect();
            all.sort_by(f64::total_cmp);
            all
        };
        let least = |figure| all(figure).first().copied().unwrap_or_default();
        let middle = |figure| at(&all(figure), 0.5);
        Self {
            cpu: least(|one| one.cpu),
            p50: middle(|one| one.p50),
            p99: middle(|one| one.p99),
            rate: middle(|one| one.rate),
            first: middle(|one| one.first),
            allocations: middle(|one| one.allocations),
            heap: middle(|one| one.heap),
            resident: least(|one| one.resident),
            fairness: middle(|one| one.fairness),
        }
    }
}

/// The value below which so large a share of sorted values lies.
pub(crate) fn at(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
    let place = (last as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or_default()
}
