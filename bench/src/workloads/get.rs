//! `presencectl get`, from the start of the process to its end, beside a program that does nothing.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::{Metric, Quantity, Sample, Scale, Side, Target, Workload, percentile};
use crate::clock::Stopwatch;
use crate::conditions::Conditions;
use crate::measurement::Measurement;
use crate::server::Server;
use crate::user;

pub(super) const GET: Workload = Workload {
    name: "presencectl-get",
    about: "presencectl get, all in, 50 times; the floor is a program that does nothing",
    metrics: &[
        Metric::new("p50 of a call", "ms", Quantity::Time, Target::Max(5.0)),
        Metric::new("p90 of a call", "ms", Quantity::Time, Target::None),
    ],
    connections: 1,
    measure,
};

const CALLS: usize = 50;
/// Until the programs are in the page cache.
const WARM_UP: usize = 3;

fn measure(side: Side<'_>, _: Scale) -> Result<Sample> {
    let Side::Daemon(build) = side else {
        return time(&mut Command::new("true"), Measurement::without_server);
    };
    let server = Server::daemon(&build.presenced)?;
    super::calls::set_custom_statuses(&server, std::iter::once(0), "IDLE")?;
    let mut command = Command::new(&build.presencectl);
    command
        .arg("--data-dir")
        .arg(server.data_dir())
        .args(["get", &user::id(0)]);
    time(&mut command, || Measurement::begin(&server))
}

/// Milliseconds from the start of a program to its end.
fn time(command: &mut Command, begin: impl FnOnce() -> Result<Measurement>) -> Result<Sample> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    for _ in 0..WARM_UP {
        call(command)?;
    }
    let measurement = begin()?;
    let mut times = (0..CALLS).map(|_| call(command)).collect::<Result<Vec<f64>>>()?;
    let conditions = measurement.end()?.conditions;
    Ok(Sample {
        values: vec![percentile(&mut times, 50), percentile(&mut times, 90)],
        // The programs are what is measured; the generator does nothing but wait for them.
        conditions: Conditions {
            server: conditions.server + conditions.generator,
            generator: 0.0,
            ..conditions
        },
    })
}

fn call(command: &mut Command) -> Result<f64> {
    let begun = Stopwatch::start();
    let status = command.status().with_context(|| format!("can't run {command:?}"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}
