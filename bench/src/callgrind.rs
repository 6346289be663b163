//! A program under `valgrind --tool=callgrind`, which counts the instructions that it executes. Other work on the machine does not
//! change them. The program runs some fifty times slower meanwhile, so that times say nothing.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// What the files of counts are called; a number follows.
const COUNTS: &str = "instructions";

/// The words that stand before a program's own, with a directory for the files of the tool.
pub(crate) fn words(directory: &Path) -> Vec<OsString> {
    let option = |name: &str, file: &str| {
        let mut option = OsString::from(name);
        option.push(directory.join(file));
        option
    };
    let mut words: Vec<OsString> = ["valgrind", "--quiet", "--tool=callgrind"].map(OsString::from).to_vec();
    words.push(option("--callgrind-out-file=", COUNTS));
    // How the program is asked for its counts.
    words.push(option("--vgdb-prefix=", "vgdb"));
    words
}

/// How many instructions a process has executed since it was asked last, all of its threads.
pub(crate) fn take(process: u32, directory: &Path) -> Result<u64> {
    let mut prefix = OsString::from("--vgdb-prefix=");
    prefix.push(directory.join("vgdb"));
    let mut dump = Command::new("vgdb");
    dump.arg(prefix).arg(format!("--pid={process}")).arg("dump");
    let output = dump.stdin(Stdio::null()).output();
    let output = output.context("can't run `vgdb`, which is of valgrind")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "can't read the instructions: {}",
        errors.trim()
    );
    let file = dumped(directory)?;
    let file = file.with_context(|| format!("no instructions were written: {}", errors.trim()))?;
    let text = fs::read_to_string(&file)?;
    // The next one is found by its name.
    fs::remove_file(file)?;
    total(&text).context("no total of instructions")
}

/// The file that has just been written. The empty one without a number is for the end of the program.
fn dumped(directory: &Path) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix(COUNTS)?.strip_prefix('.'));
        if number.is_some_and(|number| number.parse::<u32>().is_ok()) {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

/// What all functions come to, by the last line of a file of counts.
fn total(text: &str) -> Option<u64> {
    let total = text.lines().rev().find_map(|line| line.strip_prefix("totals: "));
    total?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_is_read_from_the_end_of_a_file_of_counts() {
        let text = "# callgrind format\nevents: Ir\nsummary: 40\n\nfn=(1) main\n28 10\n+1 30\n\ntotals: 5310611\n";
        assert_eq!(total(text), Some(5_310_611));
        assert_eq!(total("summary: 40\n"), None);
    }

    #[test]
    fn counts_are_found_by_their_number() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["instructions", "instructions.old", "vgdb-to-7"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        assert_eq!(dumped(directory.path()).unwrap(), None);
        let written = directory.path().join("instructions.12");
        fs::write(&written, "").unwrap();
        assert_eq!(dumped(directory.path()).unwrap(), Some(written));
    }
}
