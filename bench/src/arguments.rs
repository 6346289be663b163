//! What was typed: the arguments of the benchmark. The servers that it starts of itself have none.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Args, Parser, Subcommand};

use crate::workloads::Build;

/// Measures workloads of the daemon in ratio to a minimal server in the same run.
#[derive(Debug, Parser)]
#[command(after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Workloads to measure [default: all]
    pub(crate) workloads: Vec<String>,
    #[command(flatten)]
    pub(crate) common: Common,
    /// How many times its usual size each workload has; with several (1,2,4), how the figures grow
    #[arg(long, value_name = "FACTOR", value_delimiter = ',', default_value = "1", value_parser = factor)]
    pub(crate) scale: Vec<f64>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Count the instructions of hot paths under valgrind instead, which other work on the machine does not change
    #[command(
        after_help = "Exit codes: 0 all was counted, 1 of two builds the second needs more for at least one path than is \
        tolerated, 2 something could not be counted."
    )]
    Instructions {
        /// Paths whose instructions are counted [default: all]
        paths: Vec<String>,
        /// By how many percent the second of two builds may be above the first
        #[arg(long, value_name = "PERCENT", default_value_t = 3.0)]
        tolerance: f64,
        #[command(flatten)]
        common: Common,
    },
}

/// Arguments about what is measured, how often, and where that is written.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// List what can be measured, and exit
    #[arg(long)]
    pub(crate) list: bool,
    /// The daemon to measure; presencectl is the one beside it [default: beside this program]
    #[arg(long, value_name = "FILE")]
    pub(crate) presenced: Option<PathBuf>,
    /// Measure two daemons in turns instead, and print the second in ratio to the first
    #[arg(long, value_names = ["A", "B"], num_args = 2, conflicts_with = "presenced")]
    pub(crate) compare: Vec<PathBuf>,
    /// How many times everything is measured
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) rounds: u8,
    /// Append the run to this file, as a line of JSON for each size
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// What was measured, for that file; scripts/bench gives the commit
    #[arg(long, value_name = "TEXT", env = "PRESENCE_BENCH_LABEL", default_value = "")]
    pub(crate) label: String,
}

const EXIT_CODES: &str = "Exit codes: 0 every target was met (always, of two builds and of other sizes than 1), 1 at least one \
was missed, 2 something could not be measured, 3 none was missed, but of at least one it can't be said: other work disturbed all \
of its rounds, or the generator was its limit.";

impl Common {
    /// The programs to measure: one build, or two.
    pub(crate) fn builds(&self) -> Result<Vec<Build>> {
        let own = std::env::current_exe()?;
        let daemons = match (self.compare.as_slice(), &self.presenced) {
            ([], None) => vec![own.with_file_name("presenced")],
            ([], Some(program)) => vec![program.clone()],
            (programs, _) => programs.to_vec(),
        };
        let build = |presenced: PathBuf| {
            let presenced = std::path::absolute(presenced)?;
            ensure!(presenced.is_file(), "there is no {}", presenced.display());
            Ok(Build {
                presencectl: presenced.with_file_name("presencectl"),
                presenced,
            })
        };
        daemons.into_iter().map(build).collect()
    }
}

/// A factor by which workloads grow or shrink.
fn factor(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(factor @ 0.01..=100.0) => Ok(factor),
        _ => Err("a number from 0.01 to 100".to_owned()),
    }
}

#[test]
fn arguments_are_of_workloads_or_of_instructions() {
    let workloads = Arguments::try_parse_from(["bench", "mesh", "storm", "--scale", "1,2", "--rounds", "1"]).unwrap();
    assert_eq!((workloads.workloads.len(), workloads.scale), (2, vec![1.0, 2.0]));
    let counted = [
        "bench",
        "instructions",
        "connect",
        "--compare",
        "a",
        "b",
        "--tolerance",
        "5",
    ];
    let Command::Instructions { paths, common, .. } = Arguments::try_parse_from(counted).unwrap().command.unwrap();
    assert_eq!((paths.len(), common.compare.len()), (1, 2));
    for wrong in [
        ["bench", "--scale", "0"],
        ["bench", "--rounds", "0"],
        ["bench", "--compare", "a"],
    ] {
        assert!(Arguments::try_parse_from(wrong).is_err(), "{wrong:?}");
    }
}
