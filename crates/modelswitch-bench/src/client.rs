//! A client: one way of asking in a process of its own, which does what it is told on the standard input.

use std::future::Future;
use std::io::BufRead;

use futures_util::{StreamExt, stream};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::Failure;
use crate::case::{Case, Figures, at};
use crate::server::{Page, base_url, pin, print_line, serve};
use crate::ways::{Chunks, Make, Way};

/// What was allocated while something ran.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocated {
    /// How often.
    pub count: u64,
    /// Bytes that were there at once.
    pub most: u64,
    /// Bytes that were left in the end.
    pub left: i64,
}

/// Runs something, and says what it allocated.
pub type Count = fn(&mut dyn FnMut()) -> Allocated;

/// The whole of a client's `main`: `client serve`, or `client WAY PORT`, which then reads a [`Case`] a line and
/// writes its [`Figures`].
///
/// # Errors
/// Whatever keeps it from measuring.
pub fn main(ways: &[(&str, Make)], count: Option<Count>) -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["serve"] => serve(),
        [name, port] => {
            let (_, make) = ways.iter().find(|(known, _)| known == name).ok_or("no such way")?;
            obey(*make, port.parse()?, count)
        }
        _ => Err("usage: client serve | client WAY PORT".into()),
    }
}

fn obey(make: Make, port: u16, count: Option<Count>) -> Result<(), Failure> {
    pin(0);
    // The client's threads are this one, so that its core has all of its work.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = Client { make, port, count, runtime };
    for line in std::io::stdin().lock().lines() {
        let figures = client.measure(serde_json::from_str(&line?)?)?;
        print_line(&serde_json::to_string(&figures)?)?;
    }
    Ok(())
}

struct Client {
    make: Make,
    port: u16,
    count: Option<Count>,
    runtime: Runtime,
}

/// What something took.
struct Spent {
    /// Nanoseconds.
    cpu: f64,
    seconds: f64,
    allocated: Allocated,
}

const QUESTION: &str = "Which is larger, 9.11 or 9.8? Answer in one sentence.";

impl Client {
    fn measure(&self, case: Case) -> Result<Figures, Failure> {
        match case {
            Case::Unary { in_flight, calls } => self.unary(in_flight, calls),
            Case::Stream { text, packets, chunks, streams } => {
                self.streams(&Page::Stream(text, packets, chunks), chunks, streams)
            }
            Case::Many { streams, chunks } => self.many(streams, chunks),
            Case::Large { bytes, calls } => self.large(bytes, calls),
            Case::First => self.first(),
        }
    }

    /// The way, for a page of the server.
    fn way(&self, page: &Page) -> Result<Box<dyn Way>, Failure> {
        (self.make)(&base_url(self.port, page))
    }

    /// Runs something to its end.
    fn spend<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<(T, Spent), Failure> {
        let (mut work, mut result) = (Some(work), None);
        let mut run = || result = work.take().map(|work| self.runtime.block_on(work));
        let (began, before) = (Instant::now(), cpu());
        let allocated = match self.count {
            Some(count) => count(&mut run),
            None => {
                run();
                Allocated::default()
            }
        };
        let spent = Spent { cpu: cpu() - before, seconds: began.elapsed().as_secs_f64(), allocated };
        Ok((result.ok_or("nothing ran")??, spent))
    }

    fn unary(&self, in_flight: usize, calls: usize) -> Result<Figures, Failure> {
        let way = self.way(&Page::Whole)?;
        self.runtime.block_on(asked(&*way, in_flight, (calls / 4).max(in_flight)))?;
        let (mut times, spent) = self.spend(asked(&*way, in_flight, calls))?;
        times.sort_by(f64::total_cmp);
        let count = times.len() as f64;
        Ok(Figures {
            cpu: spent.cpu / count,
            p50: at(&times, 0.5),
            p99: at(&times, 0.99),
            rate: count / spent.seconds,
            allocations: spent.allocated.count as f64 / count,
            heap: spent.allocated.most as f64,
            ..Figures::default()
        })
    }

    fn streams(&self, page: &Page, chunks: usize, streams: usize) -> Result<Figures, Failure> {
        let way = self.way(page)?;
        // The first connection is made, and what grows has grown.
        self.runtime.block_on(read_through(&*way))?;
        let (mut firsts, spent) = self.spend(async {
            let mut firsts = Vec::with_capacity(streams);
            for _ in 0..streams {
                firsts.push(read_through(&*way).await?);
            }
            Ok(firsts)
        })?;
        firsts.sort_by(f64::total_cmp);
        let count = (chunks * streams) as f64;
        Ok(Figures {
            cpu: spent.cpu / count,
            first: at(&firsts, 0.5),
            rate: count / spent.seconds,
            allocations: spent.allocated.count as f64 / count,
            heap: spent.allocated.most as f64,
            ..Figures::default()
        })
    }

    fn many(&self, streams: usize, chunks: usize) -> Result<Figures, Failure> {
        let way = self.way(&Page::Held(streams, chunks))?;
        let (open, opening) = self.spend(async {
            let opened = (0..streams).map(|_| opened(&*way));
            futures_util::future::try_join_all(opened).await
        })?;
        let (fairness, reading) = self.spend(read_together(open, streams * chunks / 2))?;
        let count = (streams * chunks) as f64;
        Ok(Figures {
            cpu: (opening.cpu + reading.cpu) / count,
            first: opening.seconds * 1e6,
            rate: count / (opening.seconds + reading.seconds),
            heap: opening.allocated.left as f64 / streams as f64,
            fairness,
            ..Figures::default()
        })
    }

    fn large(&self, bytes: usize, calls: usize) -> Result<Figures, Failure> {
        let way = self.way(&Page::Whole)?;
        self.runtime.block_on(way.ask(QUESTION.to_owned()))?;
        let (mut cpu, mut seconds) = (0.0, 0.0);
        let before = resident("VmRSS:")?;
        // Forgets the most that there was.
        std::fs::write("/proc/self/clear_refs", "5")?;
        for _ in 0..calls {
            // The app's own, and no part of the call.
            let prompt = prompt(bytes);
            let (_, spent) = self.spend(way.ask(prompt))?;
            cpu += spent.cpu;
            seconds += spent.seconds;
        }
        Ok(Figures {
            cpu: cpu / calls as f64,
            p50: seconds * 1e6 / calls as f64,
            resident: resident("VmHWM:")? - before,
            ..Figures::default()
        })
    }

    fn first(&self) -> Result<Figures, Failure> {
        let (_, spent) = self.spend(async { self.way(&Page::Whole)?.ask(QUESTION.to_owned()).await })?;
        // With what it took to load the program.
        Ok(Figures { cpu: cpu(), p50: spent.seconds * 1e6, ..Figures::default() })
    }
}

/// Asks so often, and gives back the time of each call in microseconds.
async fn asked(way: &dyn Way, in_flight: usize, calls: usize) -> Result<Vec<f64>, Failure> {
    let one = |_| async {
        let began = Instant::now();
        way.ask(QUESTION.to_owned()).await?;
        Ok::<_, Failure>(began.elapsed().as_secs_f64() * 1e6)
    };
    let mut times = Vec::with_capacity(calls);
    let mut answers = stream::iter(0..calls).map(one).buffer_unordered(in_flight);
    while let Some(time) = answers.next().await {
        times.push(time?);
    }
    Ok(times)
}

/// Reads a stream to its end, and gives back how many microseconds its first event took.
async fn read_through(way: &dyn Way) -> Result<f64, Failure> {
    let began = Instant::now();
    let mut chunks = way.open(QUESTION.to_owned()).await?;
    let mut first = None;
    while let Some(chunk) = chunks.next().await {
        std::hint::black_box(chunk?);
        first.get_or_insert_with(|| began.elapsed().as_secs_f64() * 1e6);
    }
    first.ok_or_else(|| "the stream is empty".into())
}

/// A stream whose first event has come.
async fn opened(way: &dyn Way) -> Result<Chunks, Failure> {
    let mut chunks = way.open(QUESTION.to_owned()).await?;
    chunks.next().await.ok_or("the stream is empty")??;
    Ok(chunks)
}

/// Reads streams side by side to their ends, and says how even they were when so many events had come.
async fn read_together(open: Vec<Chunks>, half: usize) -> Result<f64, Failure> {
    let mut counts = vec![1.0_f64; open.len()];
    let named = open.into_iter().enumerate().map(|(name, chunks)| chunks.map(move |chunk| (name, chunk)));
    let mut all = stream::select_all(named);
    let (mut read, mut evenness) = (counts.len(), None);
    while let Some((name, chunk)) = all.next().await {
        chunk?;
        read += 1;
        if let Some(count) = counts.get_mut(name) {
            *count += 1.0;
        }
        if read >= half && evenness.is_none() {
            evenness = Some(jain(&counts));
        }
    }
    Ok(evenness.unwrap_or_else(|| jain(&counts)))
}

/// Jain's index of fairness: <https://en.wikipedia.org/wiki/Fairness_measure>.
fn jain(shares: &[f64]) -> f64 {
    let (sum, squares) = (shares.iter().sum::<f64>(), shares.iter().map(|one| one * one).sum::<f64>());
    sum * sum / (shares.len() as f64 * squares)
}

/// A prompt as an app may paste it: lines, with quotes that JSON has to escape.
fn prompt(bytes: usize) -> String {
    const LINE: &str =
        "A line of a long prompt, as it stands in a file, with \"a word\" in quotes here and there.\n";
    LINE.repeat(bytes.div_ceil(LINE.len()))
}

/// CPU time of this process, in nanoseconds.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// A line of what Linux knows of this process's memory, in bytes.
fn resident(name: &str) -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such line")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<f64>()? * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_shares_are_fair_and_one_that_takes_all_is_not() {
        assert!((jain(&[3.0, 3.0, 3.0]) - 1.0).abs() < 1e-9);
        assert!((jain(&[9.0, 0.0, 0.0]) - 1.0 / 3.0).abs() < 1e-9);
    }
}
