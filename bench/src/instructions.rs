//! Counts the instructions of hot paths, of one build or of two: figures that other work on the machine does not change, so that
//! tests can compare a build with the one before.

use anyhow::{Context as _, Result};
use serde_json::{Value as Json, json};

use crate::history::Subject;
use crate::median::Spread;
use crate::server::Server;
use crate::table::{self, number};
use crate::workloads::{Build, HotPath};

/// Instructions for each operation of a path, in all rounds.
pub(crate) struct Counted {
    path: &'static HotPath,
    /// Of each build.
    builds: Vec<Vec<f64>>,
}

/// Counts a path of all builds in turns, each time with a new daemon.
pub(crate) fn count(path: &'static HotPath, builds: &[Build], rounds: u8) -> Result<Counted> {
    let mut counted = Counted {
        path,
        builds: vec![Vec::new(); builds.len()],
    };
    for _ in 0..rounds {
        for (build, values) in builds.iter().zip(&mut counted.builds) {
            let count = Server::counted(&build.presenced).and_then(path.count);
            values.push(count.with_context(|| format!("{} failed", path.name))?);
        }
    }
    Ok(counted)
}

impl Counted {
    /// The least of a build: what varies comes on top of it.
    fn least(&self, build: usize) -> f64 {
        let values = self.builds.get(build).into_iter().flatten();
        values.copied().fold(f64::INFINITY, f64::min)
    }

    /// The second build in ratio to the first. None of one build alone.
    fn ratio(&self) -> Option<f64> {
        (self.builds.len() > 1).then(|| self.least(1) / self.least(0))
    }

    /// Whether the second build executes more than so many percent more.
    pub(crate) fn is_more(&self, tolerance: f64) -> bool {
        self.ratio().is_some_and(|ratio| ratio > 1.0 + tolerance / 100.0)
    }

    fn encode(&self, sides: &[&str]) -> Json {
        let mut figure = json!({"path": self.path.name, "ratio": self.ratio()});
        for (side, values) in sides.iter().zip(&self.builds) {
            figure[*side] = json!(values);
        }
        figure
    }
}

/// A line of JSON for a history file.
pub(crate) fn encode(paths: &[Counted], subject: &Subject<'_>) -> Json {
    let sides: &[&str] = match subject.programs {
        Some(_) => &subject.sides,
        None => &["presenced"],
    };
    let mut line = subject.head();
    let figures = paths.iter().map(|path| path.encode(sides)).collect();
    line.insert("instructions".to_owned(), figures);
    Json::Object(line)
}

/// A table: the least of each build, how far the rounds are apart, and whether the second build is above the tolerance.
pub(crate) fn render(paths: &[Counted], tolerance: f64) -> String {
    let is_comparison = paths.iter().any(|path| path.builds.len() > 1);
    let head: &[&str] = match is_comparison {
        true => &["path", "A", "B", "rounds apart", "B / A", ""],
        false => &["path", "instructions", "rounds apart", "for what"],
    };
    let mut lines = vec![head.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()];
    for path in paths {
        let mut line = vec![path.path.name.to_owned()];
        line.extend((0..path.builds.len()).map(|build| number(path.least(build))));
        line.push(apart(&path.builds));
        match path.ratio() {
            Some(ratio) => {
                line.push(format!("{ratio:.3}"));
                line.push(if path.is_more(tolerance) { "MORE" } else { "" }.to_owned());
            }
            None => line.push(path.path.about.to_owned()),
        }
        lines.push(line);
    }
    table::markdown(&lines)
}

/// How far the rounds of a build are apart, of the build where they are farthest.
fn apart(builds: &[Vec<f64>]) -> String {
    let spreads = builds.iter().filter_map(|values| Spread::of(values.iter().copied()));
    let farthest = spreads
        .map(|spread| spread.highest / spread.lowest - 1.0)
        .fold(0.0, f64::max);
    format!("{:.1} %", farthest * 100.0)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::workloads::HOT_PATHS;

    fn counted(builds: &[&[f64]]) -> Counted {
        Counted {
            path: &HOT_PATHS[0],
            builds: builds.iter().map(|values| values.to_vec()).collect(),
        }
    }

    #[test]
    fn the_least_of_two_builds_is_compared_with_a_tolerance() {
        let compared = counted(&[&[1_020.0, 1_000.0], &[1_060.0, 1_040.0]]);
        assert_eq!(compared.ratio(), Some(1.04));
        assert!(compared.is_more(3.0) && !compared.is_more(5.0));
        assert!(!counted(&[&[1_000.0]]).is_more(0.0), "one build is not compared");
        let expected = "\
            | path    | A    | B    | rounds apart | B / A |      |\n\
            | ------- | ---- | ---- | ------------ | ----- | ---- |\n\
            | connect | 1000 | 1040 | 2.0 %        | 1.040 | MORE |\n";
        assert_eq!(render(&[compared], 3.0), expected);
    }

    #[test]
    fn the_instructions_of_one_build_are_told_with_what_they_are_for() {
        let text = render(&[counted(&[&[1_000.0, 1_010.0]])], 3.0);
        let last = text.lines().last().unwrap();
        assert_eq!(
            last,
            "| connect | 1000         | 1.0 %        | a user who is not known connects, with a token |"
        );
    }

    #[test]
    fn a_line_of_the_history_has_all_rounds_of_each_build() {
        let mut subject = Subject {
            label: "one",
            sides: ["a", "b"],
            programs: Some(["old/presenced", "new/presenced"].map(Path::new)),
        };
        let line = encode(&[counted(&[&[10.0], &[12.0, 11.0]])], &subject);
        let expected = json!({"path": "connect", "a": [10.0], "b": [12.0, 11.0], "ratio": 1.1});
        assert_eq!(line["instructions"], json!([expected]));
        subject.programs = None;
        let line = encode(&[counted(&[&[10.0]])], &subject);
        assert_eq!(line["instructions"][0]["presenced"], json!([10.0]));
    }
}
