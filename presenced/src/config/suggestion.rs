//! The name that was probably meant by one that no setting has.

/// The closest of the names, as the end of an error message; empty if none is close.
pub(super) fn similar<'a>(unknown: &str, names: impl Iterator<Item = &'a str>) -> String {
    let close = names.map(|name| (distance(unknown, name), name)).min();
    // A third of the letters may be wrong: beyond, the names have little in common.
    match close.filter(|(distance, name)| *distance <= name.len().div_ceil(3)) {
        Some((_, name)) => format!("; did you mean {name}?"),
        None => String::new(),
    }
}

/// How many letters must be inserted, removed or replaced (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (index, from) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (at, to) in other.chars().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_letters_that_differ() {
        for (one, other, count) in [
            ("grace", "grace", 0),
            ("grase", "grace", 1),
            ("grce", "grace", 1),
            ("graace", "grace", 1),
            ("garce", "grace", 2),
            ("", "abc", 3),
            ("abc", "", 3),
        ] {
            assert_eq!(distance(one, other), count, "{one} {other}");
        }
    }

    #[test]
    fn the_closest_name_is_suggested_and_a_distant_one_is_not() {
        let names = || ["grace", "restart-grace", "log-level"].into_iter();
        assert_eq!(similar("grase", names()), "; did you mean grace?");
        assert_eq!(similar("loglevel", names()), "; did you mean log-level?");
        assert_eq!(similar("redis", names()), "");
    }
}
