//! The formats of `/metrics`: OpenMetrics, which the registry encodes, and the older text format of Prometheus (0.0.4).
//! `Accept` decides (RFC 9110, section 12.5.1).

use axum::http::{HeaderMap, header};

/// A format of `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exposition {
    OpenMetrics,
    Text,
}

/// Weight of a media range, in thousandths.
type Weight = u16;
const WEIGHT_MAX: Weight = 1000;

impl Exposition {
    /// What the client prefers; OpenMetrics, if it does not care or accepts neither.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let accepted: Vec<&str> = headers
            .get_all(header::ACCEPT)
            .into_iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        let open_metrics = weight_of(&accepted, "application", "openmetrics-text");
        let text = weight_of(&accepted, "text", "plain");
        match text > open_metrics {
            true => Self::Text,
            false => Self::OpenMetrics,
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The body in this format.
    pub(super) fn body(self, open_metrics: String) -> String {
        match self {
            Self::OpenMetrics => open_metrics,
            Self::Text => text_of(&open_metrics),
        }
    }
}

/// The weight of a media type: that of the most specific range that matches it, of several the highest.
fn weight_of(accepted: &[&str], kind: &str, subtype: &str) -> Weight {
    let matches = accepted.iter().filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let (range_kind, range_subtype) = parts.next()?.split_once('/')?;
        let specificity = match (range_kind, range_subtype) {
            ("*", "*") => 0,
            (range_kind, "*") if range_kind.eq_ignore_ascii_case(kind) => 1,
            (range_kind, range_subtype)
                if range_kind.eq_ignore_ascii_case(kind) && range_subtype.eq_ignore_ascii_case(subtype) =>
            {
                2
            }
            _ => return None,
        };
        let weight = parts.find_map(|parameter| parameter.strip_prefix("q=")).map(weight);
        Some((specificity, weight.unwrap_or(WEIGHT_MAX)))
    });
    matches.max().map_or(0, |(_, weight)| weight)
}

/// `0`, `0.25`, `1`; anything else counts as 0.
fn weight(text: &str) -> Weight {
    let weight: f32 = text.parse().unwrap_or(0.0);
    // In range by the clamp, and a fraction of a thousandth says nothing.
    (weight.clamp(0.0, 1.0) * f32::from(WEIGHT_MAX)) as Weight
}

/// In the older format a counter's name has the suffix that in OpenMetrics only its sample has, and there is neither a unit nor
/// an end mark.
fn text_of(open_metrics: &str) -> String {
    let counters: Vec<&str> = open_metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open_metrics.len() + counters.len() * 12);
    for line in open_metrics.lines() {
        if line.starts_with("# UNIT ") || line == "# EOF" {
            continue;
        }
        let described = ["# HELP ", "# TYPE "]
            .into_iter()
            .find_map(|keyword| Some((keyword, line.strip_prefix(keyword)?.split_once(' ')?)));
        match described {
            Some((keyword, (name, rest))) if counters.contains(&name) => {
                text.extend([keyword, name, "_total ", rest, "\n"]);
            }
            _ => text.extend([line, "\n"]),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn accept_decides_between_the_formats() {
        use Exposition::{OpenMetrics, Text};
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, expected) in [
            (prometheus, OpenMetrics),
            ("text/plain;version=0.0.4", Text),
            ("text/plain; version=0.0.4; q=0.5, */*;q=0.1", Text),
            ("text/*", Text),
            ("Text/Plain", Text),
            ("text/plain;q=0.4,application/openmetrics-text;q=0.3", Text),
            ("text/plain;q=0,*/*", OpenMetrics),
            ("text/plain,application/openmetrics-text;q=0", Text),
            ("application/*, text/plain;q=0.9", OpenMetrics),
            ("application/openmetrics-text;q=0.1,text/plain;q=0.5,*/*", Text),
            ("*/*", OpenMetrics),
            ("application/json", OpenMetrics),
            ("", OpenMetrics),
            (";;,q=/", OpenMetrics),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(Exposition::of(&headers), expected, "{accept:?}");
        }
        assert_eq!(Exposition::of(&HeaderMap::new()), OpenMetrics);
        let mut two_lines = HeaderMap::new();
        two_lines.append(header::ACCEPT, HeaderValue::from_static("image/png"));
        two_lines.append(header::ACCEPT, HeaderValue::from_static("text/plain"));
        assert_eq!(Exposition::of(&two_lines), Text);
    }

    #[test]
    fn the_text_format_names_counters_with_their_suffix() {
        let open_metrics = "# HELP a_b Told.\n# TYPE a_b counter\na_b_total{x=\"# TYPE y counter\"} 3\n\
                            # HELP t_seconds Took.\n# TYPE t_seconds histogram\n# UNIT t_seconds seconds\n\
                            t_seconds_bucket{le=\"+Inf\"} 1\n# EOF\n";
        let text = "# HELP a_b_total Told.\n# TYPE a_b_total counter\na_b_total{x=\"# TYPE y counter\"} 3\n\
                    # HELP t_seconds Took.\n# TYPE t_seconds histogram\nt_seconds_bucket{le=\"+Inf\"} 1\n";
        assert_eq!(Exposition::Text.body(open_metrics.to_owned()), text);
        assert_eq!(Exposition::OpenMetrics.body(open_metrics.to_owned()), open_metrics);
    }
}
