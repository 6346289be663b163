//! `presence-bench`: the benchmark of the daemon. It starts the servers, the daemon and the floor of each workload, is the
//! generator of the load itself, and prints each figure in ratio to the floor of the same run. `scripts/bench` runs it.

mod bare_http;
mod clock;
mod floor;
mod frame;
mod generator;
mod history;
mod pipe;
mod poller;
mod record;
mod run;
mod server;
mod table;
mod usage;
mod user;
mod workloads;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use table::Row;
use workloads::{Build, Scale, Workload};

/// Measures workloads of the daemon in ratio to a minimal server in the same run.
#[derive(Debug, Parser)]
struct Arguments {
    /// Workloads to measure [default: all]
    workloads: Vec<String>,
    /// List the workloads, and exit
    #[arg(long)]
    list: bool,
    /// The daemon to measure; presencectl is the one beside it
    #[arg(long, value_name = "FILE", default_value = "target/release/presenced")]
    presenced: PathBuf,
    /// Measure two daemons in turns instead, and print the second in ratio to the first
    #[arg(long, value_names = ["A", "B"], num_args = 2, conflicts_with_all = ["json", "presenced"])]
    compare: Vec<PathBuf>,
    /// How many times each workload is measured; the medians are printed
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
    /// How many times its usual size each workload has; with several (0.25,0.5,1), how the figures grow
    #[arg(long, value_name = "FACTOR", value_delimiter = ',', default_value = "1", value_parser = factor)]
    scale: Vec<f64>,
    /// Append the run to this file, as a line of JSON for each size
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What was measured, for that file; scripts/bench gives the commit
    #[arg(long, value_name = "TEXT", env = "PRESENCE_BENCH_LABEL", default_value = "")]
    label: String,
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).take(2).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["floor", rest @ ..] => {
            raise_open_files()?;
            return floor::run(rest.first().map_or(Ok(0), |present| present.parse())?);
        }
        ["floor-http", file] => return bare_http::run(Path::new(file)),
        _ => {}
    }
    let arguments = Arguments::parse();
    if arguments.list {
        return list();
    }
    raise_open_files()?;
    let mut sizes = Vec::new();
    let mut scales = arguments.scale.clone();
    scales.sort_unstable_by(f64::total_cmp);
    for scale in scales.into_iter().map(Scale) {
        let rows = measure(&arguments, scale)?;
        if let Some(file) = &arguments.json {
            history::append(file, &arguments.label, scale, &rows)?;
        }
        let table = match arguments.compare.is_empty() {
            true => table::render(&rows),
            false => table::render_comparison(&rows),
        };
        writeln!(
            std::io::stdout(),
            "{table}\nload of the last minute: {}",
            usage::load_average()
        )?;
        sizes.push((scale, rows));
    }
    if sizes.len() > 1 {
        writeln!(std::io::stdout(), "\n{}", table::render_growth(&sizes))?;
    }
    Ok(())
}

/// Measures all workloads that are named, at one size.
fn measure(arguments: &Arguments, scale: Scale) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for workload in named(&arguments.workloads)? {
        if scale.of(workload.connections) as u64 > server::connections_max() {
            eprintln!(
                "{}: left out, too few open files are allowed for {} ×",
                workload.name, scale.0
            );
            continue;
        }
        eprintln!("{}: {}", workload.name, workload.about);
        let build = |program: &PathBuf| Build {
            presenced: program.clone(),
            presencectl: program.with_file_name("presencectl"),
        };
        rows.extend(match arguments.compare.as_slice() {
            [base, other] => run::against_each_other(workload, [&build(base), &build(other)], arguments.rounds, scale)?,
            _ => run::against_floor(workload, &build(&arguments.presenced), arguments.rounds, scale)?,
        });
    }
    Ok(rows)
}

/// A factor by which workloads grow or shrink.
fn factor(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(factor @ 0.01..=100.0) => Ok(factor),
        _ => Err("a number from 0.01 to 100".to_owned()),
    }
}

/// The workloads of these names; all of them if there are none.
fn named(names: &[String]) -> Result<Vec<&'static Workload>> {
    let find = |name: &String| workloads::ALL.iter().find(|workload| workload.name == name);
    if let Some(unknown) = names.iter().find(|name| find(name).is_none()) {
        anyhow::bail!("no such workload: {unknown}; --list has their names");
    }
    let is_named = |workload: &&Workload| names.is_empty() || names.iter().any(|name| name == workload.name);
    Ok(workloads::ALL.iter().filter(is_named).collect())
}

fn list() -> Result<()> {
    for workload in workloads::ALL {
        writeln!(std::io::stdout(), "{:<16} {}", workload.name, workload.about)?;
    }
    Ok(())
}

/// How many files a process may have open.
fn open_files() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

/// Raises the soft limit on open files of this process, and of those that it starts, to the hard limit.
fn raise_open_files() -> Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, limit)?;
    ensure!(
        open_files() > 1_000,
        "too few open files are allowed: raise `ulimit -n`"
    );
    Ok(())
}
