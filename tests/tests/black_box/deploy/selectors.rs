//! What a query in PromQL asks for: its metrics with their label matchers, and the labels that it groups by. Reads what stands in
//! our files, not all that PromQL allows; promtool knows the rest.

/// A metric in a query.
pub(super) struct Selector<'a> {
    pub(super) metric: &'a str,
    /// Each label with the values that it must, may or must not have.
    pub(super) matchers: Vec<(&'a str, Vec<&'a str>)>,
}

/// The metrics of a query.
pub(super) fn selectors(query: &str) -> Vec<Selector<'_>> {
    let mut found = Vec::new();
    let mut rest = query;
    while let Some((name, after)) = next_name(rest) {
        let (braces, after_braces) = match after.strip_prefix('{') {
            Some(inside) => inside.split_once('}').expect("a closing brace"),
            None => ("", after),
        };
        if name.starts_with("presenced_") || ["up", "ALERTS"].contains(&name) {
            found.push(Selector {
                metric: name,
                matchers: matchers(braces),
            });
        }
        rest = after_braces;
    }
    found
}

/// The next name outside of quotes and braces, and what follows it.
fn next_name(text: &str) -> Option<(&str, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let start = text.find(is_part)?;
    let text = &text[start..];
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    Some(text.split_at(end))
}

fn matchers(braces: &str) -> Vec<(&str, Vec<&str>)> {
    let one = |matcher: &'_ str| -> Option<(usize, usize)> { Some((matcher.find(['=', '!'])?, matcher.find('"')?)) };
    let mut found = Vec::new();
    for matcher in braces.split("\",").filter(|matcher| !matcher.is_empty()) {
        let (name_end, value_start) = one(matcher).expect("a label, an operator and a value");
        let values = matcher[value_start + 1..].trim_end_matches('"');
        found.push((matcher[..name_end].trim(), values.split('|').collect()));
    }
    found
}

/// The labels of `by (…)`.
pub(super) fn grouping_labels(query: &str) -> Vec<&str> {
    let lists = query.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
    lists.flat_map(|list| list.split(',').map(str::trim)).collect()
}

#[test]
fn the_metrics_labels_and_groups_of_a_query_are_read() {
    let query = "sum by (a, b) (rate(presenced_x_total{c=\"1\",d=~\"2|3\"}[5m])) > 0.5 * presenced_y and up";
    let found: Vec<_> = selectors(query)
        .into_iter()
        .map(|one| (one.metric, one.matchers))
        .collect();
    assert_eq!(
        found,
        [
            ("presenced_x_total", vec![("c", vec!["1"]), ("d", vec!["2", "3"])]),
            ("presenced_y", vec![]),
            ("up", vec![]),
        ]
    );
    assert_eq!(grouping_labels(query), ["a", "b"]);
}
