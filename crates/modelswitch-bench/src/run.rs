//! The run: starts the server and the clients, tells them what to do in turns, and prints what they say.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tokio::time::Instant;

use crate::Failure;
use crate::case::{Case, Figures, Packets, Text};
use crate::table::{Table, number};
use crate::ways::{STOCK, TYPED, WAYS};

/// What to run, and how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// Seconds instead of minutes; the figures mean little.
    pub quick: bool,
    /// Only the table whose title has this word.
    pub only: Option<String>,
    /// The programs of the ways, of this workspace and of others.
    pub programs: Vec<Programs>,
}

/// Two clients that know the same ways.
#[derive(Clone, Debug)]
pub struct Programs {
    /// With the allocator that apps have.
    pub plain: PathBuf,
    /// With one that counts.
    pub counting: PathBuf,
    /// The ways they know.
    pub ways: Vec<String>,
}

impl Programs {
    /// Clients that know the ways of this workspace.
    pub fn ours(plain: impl Into<PathBuf>, counting: impl Into<PathBuf>) -> Self {
        let ways = WAYS.iter().map(|(name, _)| (*name).to_owned()).collect();
        Self { plain: plain.into(), counting: counting.into(), ways }
    }
}

/// Prints the tables, one after the other as they are ready.
///
/// # Errors
/// Whatever keeps a client from measuring.
pub fn run(options: &Options, out: &mut impl Write) -> Result<(), Failure> {
    let first = options.programs.first().ok_or("no programs to run")?;
    let mut server = Command::new(&first.plain).arg("serve").stdout(Stdio::piped()).spawn()?;
    let served = server.stdout.take().ok_or("the server says nothing")?;
    let server = Running(server);
    let mut line = String::new();
    BufReader::new(served).read_line(&mut line)?;
    let run = Run { port: line.trim().to_owned(), options: options.clone() };
    for print in [unary, streams, many, large, first_call] {
        if let Some(table) = print(&run)? {
            write!(out, "{table}")?;
            out.flush()?;
        }
    }
    drop(server);
    Ok(())
}

/// A process that ends with its handle.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Run {
    port: String,
    options: Options,
}

/// A client that waits for its next case.
struct Client {
    name: String,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    _process: Running,
}

impl Client {
    fn start(program: &Path, name: &str, port: &str) -> Result<Self, Failure> {
        let mut process =
            Command::new(program).args([name, port]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = process.stdin.take().ok_or("a client hears nothing")?;
        let output = BufReader::new(process.stdout.take().ok_or("a client says nothing")?);
        Ok(Self { name: name.to_owned(), input, output, _process: Running(process) })
    }

    fn measure(&mut self, case: Case) -> Result<Figures, Failure> {
        writeln!(self.input, "{}", serde_json::to_string(&case)?)?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        serde_json::from_str(&line).map_err(|_| format!("{} could not do {case:?}", self.name).into())
    }
}

/// Rounds and sizes.
impl Run {
    fn is_wanted(&self, title: &str) -> bool {
        self.options.only.as_ref().is_none_or(|word| title.contains(word.as_str()))
    }

    /// The second where it has to be quick.
    fn size(&self, whole: usize, quick: usize) -> usize {
        if self.options.quick { quick } else { whole }
    }

    fn clients(&self, is_counting: bool) -> Result<Vec<Client>, Failure> {
        let all = self.options.programs.iter().flat_map(|programs| {
            let program = if is_counting { &programs.counting } else { &programs.plain };
            programs.ways.iter().map(move |name| Client::start(program, name, &self.port))
        });
        all.collect()
    }

    /// What each way takes for a case, in rounds that each ask all of them, so that what disturbs the machine for a
    /// while disturbs them all.
    fn rounds(&self, case: Case) -> Result<Vec<(String, Figures)>, Failure> {
        let mut clients = self.clients(false)?;
        let mut all = vec![Vec::new(); clients.len()];
        for _ in 0..self.size(5, 1) {
            for (client, figures) in clients.iter_mut().zip(&mut all) {
                figures.push(client.measure(case)?);
            }
        }
        Ok(clients.into_iter().zip(all).map(|(client, all)| (client.name, Figures::of(&all))).collect())
    }

    /// What each way allocates for a case: it is the same each time.
    fn counted(&self, case: Case) -> Result<Vec<Figures>, Failure> {
        self.clients(true)?.iter_mut().map(|client| client.measure(case)).collect()
    }

    /// A fresh process for each way and round.
    fn fresh(&self, case: Case, rounds: usize) -> Result<Vec<(String, Figures, f64)>, Failure> {
        let mut found = Vec::new();
        for programs in &self.options.programs {
            for name in &programs.ways {
                let (mut all, mut times) = (Vec::new(), Vec::new());
                for _ in 0..rounds {
                    let began = Instant::now();
                    all.push(Client::start(&programs.plain, name, &self.port)?.measure(case)?);
                    times.push(began.elapsed().as_secs_f64() * 1e3);
                }
                times.sort_by(f64::total_cmp);
                found.push((name.clone(), Figures::of(&all), crate::case::at(&times, 0.5)));
            }
        }
        Ok(found)
    }
}

/// How many times a way's figure is that of another.
fn ratio(value: f64, all: &[(String, Figures)], base: &str, figure: fn(&Figures) -> f64) -> String {
    let base = all.iter().find(|(name, _)| name == base).map(|(_, figures)| figure(figures));
    base.map_or_else(String::new, |base| format!("{:.2}", value / base))
}

fn unary(run: &Run) -> Result<Option<Table>, Failure> {
    const TITLE: &str = "Whole answers of 700 bytes";
    if !run.is_wanted(TITLE) {
        return Ok(None);
    }
    let at = |in_flight| run.rounds(Case::Unary { in_flight, calls: run.size(5000, 64) });
    let (one, some, many) = (at(1)?, at(32)?, at(run.size(256, 64))?);
    let counted = run.counted(Case::Unary { in_flight: 1, calls: run.size(500, 20) })?;
    let heads = [
        "",
        "CPU µs a call",
        "× stock",
        "p50 µs",
        "p99 µs",
        "calls/s at 1",
        "at 32",
        "p99 µs",
        "at 256",
        "p99 µs",
        "allocations a call",
        "peak heap KiB",
    ];
    let mut table = Table::new(TITLE, &heads);
    for (((name, one_at), (_, at_32)), ((_, at_256), counted)) in
        one.iter().zip(&some).zip(many.iter().zip(&counted))
    {
        table.row(vec![
            name.clone(),
            number(one_at.cpu / 1e3),
            ratio(one_at.cpu, &one, STOCK, |figures| figures.cpu),
            number(one_at.p50),
            number(one_at.p99),
            number(one_at.rate),
            number(at_32.rate),
            number(at_32.p99),
            number(at_256.rate),
            number(at_256.p99),
            number(counted.allocations),
            number(counted.heap / 1024.0),
        ]);
    }
    Ok(Some(table))
}

fn streams(run: &Run) -> Result<Option<Table>, Failure> {
    const TITLE: &str = "Streams of 10 000 chunks, CPU ns a chunk";
    if !run.is_wanted(TITLE) {
        return Ok(None);
    }
    let case = |text, packets, streams| Case::Stream {
        text,
        packets,
        chunks: run.size(10_000, 100),
        streams: run.size(streams, 1),
    };
    let at = |text, packets| run.rounds(case(text, packets, 5));
    let plain = at(Text::Plain, Packets::Small)?;
    let big = at(Text::Plain, Packets::Big)?;
    let thought = at(Text::Reasoning, Packets::Small)?;
    let big_thought = at(Text::Reasoning, Packets::Big)?;
    let counted = run.counted(case(Text::Plain, Packets::Small, 1))?;
    let heads = [
        "",
        "text, small packets",
        "× stock",
        "text, one body",
        "× stock",
        "reasoning, small",
        "× stock",
        "reasoning, one body",
        "first event µs",
        "allocations a chunk",
    ];
    let mut table = Table::new(TITLE, &heads);
    for ((((name, plain_at), (_, big_at)), ((_, thought_at), (_, big_thought_at))), counted) in
        plain.iter().zip(&big).zip(thought.iter().zip(&big_thought)).zip(&counted)
    {
        let cpu = |figures: &Figures| figures.cpu;
        table.row(vec![
            name.clone(),
            number(plain_at.cpu),
            ratio(plain_at.cpu, &plain, STOCK, cpu),
            number(big_at.cpu),
            ratio(big_at.cpu, &big, STOCK, cpu),
            number(thought_at.cpu),
            ratio(thought_at.cpu, &thought, STOCK, cpu),
            number(big_thought_at.cpu),
            number(plain_at.first),
            number(counted.allocations),
        ]);
    }
    Ok(Some(table))
}

fn many(run: &Run) -> Result<Option<Table>, Failure> {
    const TITLE: &str = "A thousand streams at once";
    if !run.is_wanted(TITLE) {
        return Ok(None);
    }
    let case = Case::Many { streams: run.size(1000, 20), chunks: run.size(100, 20) };
    let (timed, counted) = (run.rounds(case)?, run.counted(case)?);
    let heads = ["", "KiB a stream", "all open after ms", "CPU ns a chunk", "chunks/s", "fairness"];
    let mut table = Table::new(TITLE, &heads);
    for ((name, timed), counted) in timed.iter().zip(&counted) {
        table.row(vec![
            name.clone(),
            number(counted.heap / 1024.0),
            number(timed.first / 1e3),
            number(timed.cpu),
            number(timed.rate),
            format!("{:.3}", timed.fairness),
        ]);
    }
    Ok(Some(table))
}

fn large(run: &Run) -> Result<Option<Table>, Failure> {
    const TITLE: &str = "Large prompts";
    if !run.is_wanted(TITLE) {
        return Ok(None);
    }
    let sizes = [run.size(4_000_000, 400_000), run.size(40_000_000, 800_000)];
    let rounds = run.size(5, 1);
    let at = |bytes| run.fresh(Case::Large { bytes, calls: 1 }, rounds);
    let [small, large] = sizes.map(at);
    let (small, large) = (small?, large?);
    let heads = [
        "",
        "4 MB: CPU ms",
        "× reqwest + serde",
        "memory ×",
        "40 MB: CPU ms",
        "× reqwest + serde",
        "memory ×",
    ];
    let mut table = Table::new(TITLE, &heads);
    let base = |all: &[(String, Figures, f64)]| {
        all.iter().find(|(name, ..)| name == TYPED).map_or(f64::NAN, |(_, figures, _)| figures.cpu)
    };
    let bases = [base(&small), base(&large)];
    for ((name, at_4, _), (_, at_40, _)) in small.iter().zip(&large) {
        let cells = [at_4, at_40].into_iter().zip(bases).zip(sizes).flat_map(|((figures, base), bytes)| {
            [
                number(figures.cpu / 1e6),
                format!("{:.2}", figures.cpu / base),
                format!("{:.2}", figures.resident / bytes as f64),
            ]
        });
        table.row(std::iter::once(name.clone()).chain(cells).collect());
    }
    Ok(Some(table))
}

fn first_call(run: &Run) -> Result<Option<Table>, Failure> {
    const TITLE: &str = "The first call of a process";
    if !run.is_wanted(TITLE) {
        return Ok(None);
    }
    let heads = ["", "start to answer, ms", "of it making the client and asking, ms", "CPU ms altogether"];
    let mut table = Table::new(TITLE, &heads);
    for (name, figures, milliseconds) in run.fresh(Case::First, run.size(15, 1))? {
        table.row(vec![name, number(milliseconds), number(figures.p50 / 1e3), number(figures.cpu / 1e6)]);
    }
    Ok(Some(table))
}
