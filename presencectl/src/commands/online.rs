//! `online`: lists the present users, page by page, sorted and counted.

use std::cmp::Reverse;

use presence::wire::record::Record;
use presence::wire::rest::{Counts, PAGE_MAX_RECORDS};
use presence::{Status, Wall};
use serde::Serialize;

use super::Session;
use crate::cli::{Online, Sort};
use crate::client::rest::{PageQuery, Rest};
use crate::failure::Failure;
use crate::output::{HumanOutput, Report, records};

#[derive(Serialize)]
struct Listing {
    now: Wall,
    counts: Counts,
    /// Whether `--limit` omitted users.
    more: bool,
    users: Vec<Record>,
}

pub(super) async fn run(session: &mut Session, args: &Online) -> Result<(), Failure> {
    let rest = session.rest()?;
    let limit = args
        .limit
        .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    // Pages come sorted by id; any other order needs all of them before the first is known.
    let max = if args.sort == Sort::User { limit } else { usize::MAX };
    let mut listing = collect(&rest, args, max).await?;
    sort(&mut listing.users, args.sort);
    listing.more |= listing.users.len() > limit;
    listing.users.truncate(limit);
    let report = Report {
        rows: records::rows(&listing.users),
        human: HumanOutput::Table {
            above: String::new(),
            below: match args.status.is_none() && args.prefix.is_none() {
                true => summary(&listing),
                false => filtered_summary(&listing),
            },
        },
        items: &listing.users,
        document: &listing,
    };
    session.output.show(listing.now, &report)
}

async fn collect(rest: &Rest, args: &Online, max: usize) -> Result<Listing, Failure> {
    let mut query = PageQuery {
        status: args.status,
        prefix: args.prefix.clone(),
        limit: max.min(PAGE_MAX_RECORDS),
        cursor: None,
    };
    let mut listing: Option<Listing> = None;
    let is_everyone = args.status.is_none() && args.prefix.is_none();
    loop {
        let page = rest.page(&query).await?;
        let listing = listing.get_or_insert_with(|| Listing {
            now: page.now,
            counts: page.counts,
            more: false,
            users: Vec::new(),
        });
        listing.now = page.now;
        listing.counts = page.counts;
        listing.users.extend(page.users);
        match page.next {
            // A cursor that does not advance would loop forever.
            Some(next) if listing.users.len() < max && query.cursor.as_ref() != Some(&next) => {
                query.limit = (max - listing.users.len()).min(PAGE_MAX_RECORDS);
                query.cursor = Some(next);
            }
            next => {
                listing.more = next.is_some();
                if is_everyone && !listing.more {
                    listing.counts = tally(&listing.users);
                }
                break;
            }
        }
    }
    listing.ok_or_else(|| Failure::failed("the server returned no page"))
}

/// Counts what was listed: the pages' own counts are of other moments.
fn tally(users: &[Record]) -> Counts {
    let mut counts = Counts::default();
    for user in users {
        if let Some(count) = counts.of(user.status) {
            *count += 1;
        }
    }
    counts
}

fn sort(users: &mut [Record], by: Sort) {
    match by {
        Sort::User => {}
        Sort::LastSeen => users.sort_by_key(|record| Reverse(record.last_seen)),
        Sort::LastActive => users.sort_by_key(|record| Reverse(record.last_active)),
    }
}

fn summary(listing: &Listing) -> String {
    let counts = listing.counts;
    if counts.total() == 0 && listing.users.is_empty() {
        return "no user is present\n".to_owned();
    }
    let tally = records::tally([
        (Status::Online, counts.online),
        (Status::Idle, counts.idle),
        (Status::DoNotDisturb, counts.do_not_disturb),
    ]);
    let shown = match (listing.users.len() as u64, counts.total()) {
        (shown, total) if shown == total => String::new(),
        (0, _) => "0 shown; ".to_owned(),
        (shown, _) => format!("{shown} shown; "),
    };
    let more = if listing.more {
        " (list truncated by --limit)"
    } else {
        ""
    };
    format!("{shown}{} present: {tally}{more}\n", counts.total())
}

/// With a filter: the counts of the pages are of all users and of other moments, so what is listed is counted.
fn filtered_summary(listing: &Listing) -> String {
    let counts = tally(&listing.users);
    match (listing.users.len(), listing.more) {
        (0, _) => "no present user matches\n".to_owned(),
        (shown, true) => format!("{shown} shown (list truncated by --limit)\n"),
        (shown, false) => {
            let statuses = records::tally([
                (Status::Online, counts.online),
                (Status::Idle, counts.idle),
                (Status::DoNotDisturb, counts.do_not_disturb),
            ]);
            format!("{shown} shown: {statuses}\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use presence::UserId;
    use presence::wire::record::Viewer;

    use super::*;

    #[test]
    fn users_sort_by_last_seen_with_never_seen_ones_last() {
        let record = |name: &str, seen: Option<i64>| Record {
            last_seen: seen.map(Wall::from_millis),
            ..Record::never_seen(UserId::new(name).unwrap(), Viewer::Internal)
        };
        let mut users = [record("never", None), record("old", Some(1)), record("new", Some(2))];
        sort(&mut users, Sort::LastSeen);
        assert_eq!(users.map(|user| user.user_id.to_string()), ["new", "old", "never"]);
    }

    #[test]
    fn a_complete_listing_is_counted_itself() {
        let record = |name: &str, status| Record {
            status,
            ..Record::never_seen(UserId::new(name).unwrap(), Viewer::Internal)
        };
        let counts = tally(&[
            record("a", Status::Online),
            record("b", Status::Idle),
            record("c", Status::Online),
        ]);
        assert_eq!((counts.online, counts.idle, counts.do_not_disturb), (2, 1, 0));
    }

    #[test]
    fn the_summary_of_a_filter_counts_what_is_listed() {
        let record = |name: &str, status| Record {
            status,
            ..Record::never_seen(UserId::new(name).unwrap(), Viewer::Internal)
        };
        let mut listing = Listing {
            now: Wall::from_millis(0),
            counts: Counts::default(),
            more: false,
            users: Vec::new(),
        };
        listing.counts.online = 7;
        assert_eq!(filtered_summary(&listing), "no present user matches\n");
        listing.users = vec![record("a", Status::Idle), record("b", Status::Idle)];
        assert_eq!(filtered_summary(&listing), "2 shown: 2 IDLE\n");
        listing.more = true;
        assert_eq!(filtered_summary(&listing), "2 shown (list truncated by --limit)\n");
    }

    #[test]
    fn the_summary_counts_present_users_and_reports_truncation() {
        let mut listing = Listing {
            now: Wall::from_millis(0),
            counts: Counts::default(),
            more: false,
            users: Vec::new(),
        };
        assert_eq!(summary(&listing), "no user is present\n");
        listing.counts.online = 2;
        listing.counts.idle = 1;
        assert_eq!(summary(&listing), "0 shown; 3 present: 2 ONLINE, 1 IDLE\n");
        listing
            .users
            .push(Record::never_seen(UserId::new("a").unwrap(), Viewer::Internal));
        listing.more = true;
        assert_eq!(
            summary(&listing),
            "1 shown; 3 present: 2 ONLINE, 1 IDLE (list truncated by --limit)\n"
        );
    }
}
