//! `presencectl get`, from the start of the process to its end, beside a program that does nothing.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::{Metric, Scale, Side, Target, Workload, percentile};
use crate::clock::Stopwatch;
use crate::server::Server;
use crate::user;

pub(super) const GET: Workload = Workload {
    name: "presencectl-get",
    about: "presencectl get, all in, 50 times; the floor is a program that does nothing",
    metrics: &[
        Metric::new("p50 of a call", "ms", Target::Max(5.0)),
        Metric::new("p90 of a call", "ms", Target::None),
    ],
    connections: 1,
    measure,
};

const CALLS: usize = 50;
/// Until the programs are in the page cache.
const WARM_UP: usize = 3;

fn measure(side: Side<'_>, _: Scale) -> Result<Vec<f64>> {
    let Side::Daemon(build) = side else {
        return time(&mut Command::new("true"));
    };
    let server = Server::daemon(&build.presenced)?;
    super::calls::set_custom_statuses(&server, std::iter::once(0), "IDLE")?;
    let mut command = Command::new(&build.presencectl);
    command
        .arg("--data-dir")
        .arg(server.data_dir())
        .args(["get", &user::id(0)]);
    time(&mut command)
}

/// Milliseconds from the start of a program to its end.
fn time(command: &mut Command) -> Result<Vec<f64>> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut times = Vec::new();
    for call in 0..WARM_UP + CALLS {
        let begun = Stopwatch::start();
        let status = command.status().with_context(|| format!("can't run {command:?}"))?;
        ensure!(status.success(), "{command:?} failed");
        if call >= WARM_UP {
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(vec![percentile(&mut times, 50), percentile(&mut times, 90)])
}
