//! `presence-bench`: the benchmark of the daemon. It starts the servers, the daemon and the floor of each workload, is the
//! generator of the load itself, and prints each figure in ratio to the floor of the same run. `scripts/bench` runs it.

mod arguments;
mod bare_http;
mod callgrind;
mod clock;
mod conditions;
mod cores;
mod figure;
mod floor;
mod frame;
mod generator;
mod history;
mod instructions;
mod measurement;
mod median;
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
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use arguments::{Arguments, Command, Common};
use figure::{Outcome, Row};
use history::Subject;
use run::{Run, Sides};
use workloads::{Build, HOT_PATHS, Scale, Workload};

/// Something could not be measured; `clap` ends with it too.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    match start() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("presence-bench: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

/// Serves as one of the floors, if that is asked for, or measures.
fn start() -> Result<ExitCode> {
    raise_open_files()?;
    let words: Vec<String> = std::env::args().skip(1).take(2).collect();
    let served = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["floor", rest @ ..] => floor::run(rest.first().map_or(Ok(0), |present| present.parse())?),
        ["floor-http", file] => bare_http::run(Path::new(file)),
        _ => return measure(&Arguments::parse()),
    };
    served.map(|()| ExitCode::SUCCESS)
}

fn measure(arguments: &Arguments) -> Result<ExitCode> {
    if let Some(Command::Instructions {
        paths,
        tolerance,
        common,
    }) = &arguments.command
    {
        return count(paths, *tolerance, common);
    }
    let common = &arguments.common;
    if common.list {
        return list(workloads::ALL.iter().map(|workload| (workload.name, workload.about)));
    }
    let workloads = named(&arguments.workloads, workloads::ALL, |workload| workload.name)?;
    let builds = common.builds()?;
    let sides = sides(&builds)?;
    cores::move_to_generator()?;
    let mut scales = arguments.scale.clone();
    scales.sort_unstable_by(f64::total_cmp);
    let mut runs: Vec<Run> = Vec::new();
    for scale in scales.into_iter().map(Scale) {
        let run = at_size(common.rounds, &workloads, sides, scale, &runs)?;
        if let Some(file) = &common.json {
            history::append(file, &subject(common, sides).encode(&run))?;
        }
        print(&run, sides)?;
        runs.push(run);
    }
    let rows: Vec<Vec<Row>> = runs.into_iter().map(|run| run.rows).collect();
    if rows.len() > 1 {
        writeln!(std::io::stdout(), "\n{}", table::render_growth(&rows))?;
    }
    Ok(match sides {
        Sides::Floor(_) => exit_code(rows.iter().flatten().filter_map(Row::outcome)),
        Sides::Builds(_) => ExitCode::SUCCESS,
    })
}

fn sides(builds: &[Build]) -> Result<Sides<'_>> {
    match builds {
        [base, other] => Ok(Sides::Builds([base, other])),
        [build] => Ok(Sides::Floor(build)),
        _ => anyhow::bail!("one build is measured, or two"),
    }
}

/// Measures all these workloads at one size, after others at smaller ones.
fn at_size(
    rounds: u8,
    workloads: &[&'static Workload],
    sides: Sides<'_>,
    scale: Scale,
    smaller: &[Run],
) -> Result<Run> {
    let mut run = Run {
        scale,
        rows: Vec::new(),
        left_out: Vec::new(),
    };
    for workload in workloads {
        let rows = smaller.iter().flat_map(|run| &run.rows);
        let last = rows
            .rev()
            .find(|row| row.workload == workload.name)
            .map(|row| row.scale);
        match run::fitting(workload, scale, last, server::connections_max(open_files())) {
            Ok(fitting) => {
                eprintln!("{}: {}", workload.name, workload.about);
                run.rows.extend(run::measure(workload, sides, rounds, fitting)?);
            }
            Err(left_out) => run.left_out.push(left_out),
        }
    }
    Ok(run)
}

/// Prints the figures of a run, the conditions, and what was left out.
fn print(run: &Run, sides: Sides<'_>) -> Result<()> {
    let (figures, names) = match sides {
        Sides::Floor(_) => (table::render(&run.rows), ["floor", "presenced"]),
        Sides::Builds(_) => (table::render_comparison(&run.rows), ["A", "B"]),
    };
    let mut output = std::io::stdout();
    writeln!(output, "{figures}\n{}", table::render_conditions(&run.rows, names))?;
    for left_out in &run.left_out {
        writeln!(output, "left out: {}: {}", left_out.workload, left_out.reason)?;
    }
    writeln!(output, "load of the last minute: {}", usage::load_average())?;
    Ok(())
}

fn subject<'a>(common: &'a Common, sides: Sides<'a>) -> Subject<'a> {
    let (sides, programs) = match sides {
        Sides::Floor(_) => (["floor", "presenced"], None),
        Sides::Builds(builds) => (["a", "b"], Some(builds.map(|build| build.presenced.as_path()))),
    };
    Subject {
        label: &common.label,
        sides,
        programs,
    }
}

/// Counts the instructions of these paths.
fn count(paths: &[String], tolerance: f64, common: &Common) -> Result<ExitCode> {
    if common.list {
        return list(HOT_PATHS.iter().map(|path| (path.name, path.about)));
    }
    let builds = common.builds()?;
    let mut counted = Vec::new();
    for path in named(paths, HOT_PATHS, |path| path.name)? {
        eprintln!("{}: {}", path.name, path.about);
        counted.push(instructions::count(path, &builds, common.rounds)?);
    }
    if let Some(file) = &common.json {
        history::append(file, &instructions::encode(&counted, &subject(common, sides(&builds)?)))?;
    }
    write!(std::io::stdout(), "{}", instructions::render(&counted, tolerance))?;
    let is_more = counted.iter().any(|path| path.is_more(tolerance));
    Ok(ExitCode::from(u8::from(is_more)))
}

fn exit_code(outcomes: impl Iterator<Item = Outcome>) -> ExitCode {
    let (missed, undecided) = outcomes.fold((false, false), |(missed, undecided), outcome| match outcome {
        Outcome::Met => (missed, undecided),
        Outcome::Missed => (true, undecided),
        Outcome::Disturbed | Outcome::Limited => (missed, true),
    });
    match (missed, undecided) {
        (false, false) => ExitCode::SUCCESS,
        (true, _) => ExitCode::FAILURE,
        (false, true) => ExitCode::from(3),
    }
}

/// Those of these names; all of them if there are none.
fn named<T>(names: &[String], all: &'static [T], name: fn(&T) -> &str) -> Result<Vec<&'static T>> {
    if let Some(unknown) = names.iter().find(|given| !all.iter().any(|one| name(one) == *given)) {
        anyhow::bail!("there is no {unknown}; --list has the names");
    }
    let is_named = |one: &&T| names.is_empty() || names.iter().any(|given| name(one) == given);
    Ok(all.iter().filter(is_named).collect())
}

fn list<'a>(named: impl Iterator<Item = (&'a str, &'a str)>) -> Result<ExitCode> {
    for (name, about) in named {
        writeln!(std::io::stdout(), "{name:<17} {about}")?;
    }
    Ok(ExitCode::SUCCESS)
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

#[test]
fn an_exit_code_tells_missed_targets_from_undecided_ones() {
    let code = |outcomes: &[Outcome]| format!("{:?}", exit_code(outcomes.iter().copied()));
    let expected = |code: u8| format!("{:?}", ExitCode::from(code));
    assert_eq!(code(&[]), expected(0));
    assert_eq!(code(&[Outcome::Met, Outcome::Met]), expected(0));
    assert_eq!(code(&[Outcome::Met, Outcome::Missed, Outcome::Limited]), expected(1));
    assert_eq!(code(&[Outcome::Met, Outcome::Disturbed]), expected(3));
    assert_eq!(code(&[Outcome::Limited]), expected(3));
}
