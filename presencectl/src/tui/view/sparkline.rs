//! Sparklines and bars, one cell per value.

const BARS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
/// A value that is unknown.
const GAP: &str = "·";

/// A cell per value, scaled to the maximum; zero has the lowest bar, an unknown value is a gap.
pub(super) fn sparkline(numbers: &[Option<u64>]) -> String {
    let largest = numbers.iter().flatten().copied().max().unwrap_or(0);
    between(numbers, 0, largest)
}

/// For large values that change little: scaled from the minimum to the maximum, but over at least a fifth of the
/// maximum, so that a steady value is a line in the middle.
pub(super) fn trend(numbers: &[Option<u64>]) -> String {
    let known = || numbers.iter().flatten().copied();
    let (smallest, largest) = (known().min().unwrap_or(0), known().max().unwrap_or(0));
    let least = largest.div_ceil(5);
    let missing = least.saturating_sub(largest - smallest);
    match smallest.saturating_sub(missing / 2) {
        low if missing > 0 && smallest > 0 => between(numbers, low, low.saturating_add(least)),
        _ => between(numbers, smallest, largest),
    }
}

fn between(numbers: &[Option<u64>], low: u64, high: u64) -> String {
    let bar = |number: &Option<u64>| match number {
        None => GAP,
        Some(0) => BARS[0],
        Some(number) => {
            // 1 to 7 above the minimum: a value above zero is never drawn as zero.
            let above = u128::from(number.saturating_sub(low)) * 7;
            let height = above.div_ceil(u128::from(high.saturating_sub(low)).max(1));
            BARS[usize::try_from(height).unwrap_or(7).clamp(1, 7)]
        }
    };
    numbers.iter().map(bar).collect()
}

/// A share as a bar, in eighths of a cell.
pub(super) fn bar(part: u64, whole: u64, cells: u16) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if whole == 0 {
        return String::new();
    }
    let eighths = u128::from(part.min(whole)) * u128::from(cells) * 8 / u128::from(whole);
    // A share above zero is never empty.
    let eighths = usize::try_from(eighths).unwrap_or(0).max(usize::from(part > 0));
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_is_scaled_and_shows_small_values() {
        assert_eq!(sparkline(&[Some(0), Some(1), Some(50), Some(100), None]), "▁▂▅█·");
        assert_eq!(sparkline(&[Some(0), Some(0)]), "▁▁");
        assert_eq!(sparkline(&[Some(u64::MAX)]), "█");
        assert_eq!(sparkline(&[]), "");
    }

    #[test]
    fn a_steady_trend_is_in_the_middle_and_changes_show() {
        assert_eq!(trend(&[Some(100_000); 4]), "▅▅▅▅");
        assert_eq!(trend(&[Some(100), Some(105), Some(110), Some(90)]), "▅▇█▂");
        assert_eq!(trend(&[Some(6), Some(7)]), "▂▅");
        assert_eq!(trend(&[Some(0), Some(1), None]), "▁█·");
        assert_eq!(trend(&[Some(0), Some(0)]), "▁▁");
        assert_eq!(trend(&[Some(u64::MAX), Some(1)]), "█▂");
        assert_eq!(trend(&[]), "");
    }

    #[test]
    fn a_bar_is_proportional_to_its_share() {
        assert_eq!(bar(1, 2, 4), "██");
        assert_eq!(bar(1, 16, 2), "▏");
        assert_eq!(bar(1, 1_000_000, 2), "▏", "one of a million is seen");
        assert_eq!((bar(0, 5, 4), bar(0, 0, 4)), (String::new(), String::new()));
        assert_eq!(bar(9, 5, 2), "██");
    }
}
