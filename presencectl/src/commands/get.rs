//! `get`: the records of the named users, in that order, any number of them.

use std::io::{self, BufRead};

use presence::wire::record::Record;
use presence::wire::rest::{QUERY_MAX_IDS, QueryResponse};
use presence::{Status, UserId};
use serde::Serialize;

use super::{Session, never_seen};
use crate::cli::Get;
use crate::failure::Failure;
use crate::output::escape::quote;
use crate::output::{HumanOutput, Report, records};

#[derive(Serialize)]
struct RecordsDocument<'a> {
    now: presence::Wall,
    users: &'a [Record],
}

/// Queries in batches, prints all at once.
pub(super) async fn run(session: &mut Session, args: &Get) -> Result<(), Failure> {
    let ids = ids(&args.users)?;
    let rest = session.rest()?;
    let mut answer = QueryResponse {
        now: crate::clock::wall(),
        users: Vec::with_capacity(ids.len()),
    };
    for batch in ids.chunks(QUERY_MAX_IDS) {
        let part = rest.query(batch).await?;
        answer.now = part.now;
        answer.users.extend(part.users);
    }
    let below = if answer.users.len() > 1 {
        summary(&answer.users)
    } else {
        String::new()
    };
    let report = Report {
        document: RecordsDocument {
            now: answer.now,
            users: &answer.users,
        },
        items: &answer.users,
        rows: records::rows(&answer.users),
        human: HumanOutput::Table {
            above: String::new(),
            below,
        },
    };
    session.output.show(answer.now, &report)?;
    let is_unseen = |record: &&Record| never_seen::is_empty(record);
    let unseen: Vec<_> = answer
        .users
        .iter()
        .filter(is_unseen)
        .map(|record| &record.user_id)
        .collect();
    if unseen.is_empty() || args.ignore_unknown {
        return Ok(());
    }
    Err(never_seen::failure(&unseen, answer.users.len()))
}

fn summary(users: &[Record]) -> String {
    let count = |status: Status| users.iter().filter(|record| record.status == status).count() as u64;
    format!(
        "{} users: {}\n",
        users.len(),
        records::tally(Status::ALL.map(|status| (status, count(status))))
    )
}

/// The ids of the arguments, with those of stdin in place of `-`.
fn ids(arguments: &[String]) -> Result<Vec<UserId>, Failure> {
    let mut ids = Vec::new();
    for argument in arguments {
        if argument == "-" {
            read_ids(io::stdin().lock(), &mut ids)?;
        } else {
            ids.push(UserId::new(argument).map_err(|why| Failure::usage(format_args!("{}: {why}", quote(argument))))?);
        }
    }
    if ids.is_empty() {
        return Err(Failure::usage("no user id on stdin").next("provide one id per line"));
    }
    Ok(ids)
}

/// One id per line, byte for byte without the line ending; empty lines are skipped.
fn read_ids(input: impl BufRead, ids: &mut Vec<UserId>) -> Result<(), Failure> {
    for (number, line) in input.split(b'\n').enumerate() {
        let at = |why: &dyn std::fmt::Display| Failure::usage(format_args!("line {} of stdin: {why}", number + 1));
        let line = line.map_err(|error| at(&error))?;
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if line.is_empty() {
            continue;
        }
        let text = std::str::from_utf8(line).map_err(|_| at(&"the user id is not UTF-8"))?;
        ids.push(UserId::new(text).map_err(|why| at(&why))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8]) -> Result<Vec<String>, String> {
        let mut ids = Vec::new();
        read_ids(input, &mut ids).map_err(|failure| failure.report())?;
        Ok(ids.iter().map(|id| id.as_str().to_owned()).collect())
    }

    #[test]
    fn ids_are_read_one_per_line_with_any_line_ending() {
        assert_eq!(
            read(b"alice\r\nbob\n\n-\na b"),
            Ok(["alice", "bob", "-", "a b"].map(str::to_owned).to_vec())
        );
    }

    #[test]
    fn an_invalid_id_is_reported_with_its_line_number() {
        for bad in [
            &b"alice\n bob\n"[..],
            b"alice\n\xff\n",
            b"alice\n..\n",
            b"alice\na\x1bb",
        ] {
            assert!(read(bad).unwrap_err().contains("line 2 of stdin"), "{bad:?}");
        }
    }
}
