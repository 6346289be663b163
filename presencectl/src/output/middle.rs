//! Where a long id is shortened: in the middle. Ids often begin alike (a tenant) or end alike (a domain); with both
//! ends shown, most stay different.

/// How many pieces stay at the beginning and at the end, around a `…`, for a text to fit into `room` columns; `None` if
/// it fits as it is. The pieces are given by their widths.
pub(crate) fn ends_within(widths: &[usize], room: usize) -> Option<(usize, usize)> {
    if widths.iter().sum::<usize>() <= room {
        return None;
    }
    let left = room.saturating_sub(1);
    let (first, used) = fitting(widths.iter(), left / 2);
    let (last, _) = fitting(widths[first..].iter().rev(), left - used);
    Some((first, last))
}

/// How many of these widths fit, and their sum.
fn fitting<'a>(widths: impl Iterator<Item = &'a usize>, room: usize) -> (usize, usize) {
    let mut used = 0;
    let count = widths
        .take_while(|width| {
            let fits = used + **width <= room;
            used += if fits { **width } else { 0 };
            fits
        })
        .count();
    (count, used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_stay_and_share_the_room() {
        assert_eq!(ends_within(&[1; 10], 10), None);
        assert_eq!(ends_within(&[1; 10], 9), Some((4, 4)));
        assert_eq!(ends_within(&[1; 10], 8), Some((3, 4)));
        assert_eq!(ends_within(&[1; 10], 1), Some((0, 0)));
        assert_eq!(ends_within(&[1; 10], 0), Some((0, 0)));
        assert_eq!(ends_within(&[], 0), None);
    }

    #[test]
    fn room_that_a_wide_piece_leaves_at_the_beginning_goes_to_the_end() {
        assert_eq!(ends_within(&[2; 6], 8), Some((1, 2)));
        assert_eq!(ends_within(&[2, 2, 1, 1, 1, 1, 1, 1], 8), Some((1, 5)));
    }

    #[test]
    fn the_shown_pieces_always_fit_and_never_overlap() {
        for widths in [vec![1; 7], vec![2; 7], vec![1, 2, 0, 2, 1, 1, 2], vec![9, 1, 9]] {
            for room in 0..12 {
                if let Some((first, last)) = ends_within(&widths, room) {
                    assert!(first + last <= widths.len());
                    let ends = widths[..first].iter().chain(&widths[widths.len() - last..]);
                    assert!(ends.sum::<usize>() <= room.saturating_sub(1), "{widths:?} in {room}");
                }
            }
        }
    }
}
