//! Fuzzy search of user ids.

use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use presence::UserId;

use super::known_users::Slot;

/// Matches ids that contain the typed characters in this order; words in any order.
#[derive(Debug)]
pub(crate) struct SearchQuery {
    pub(crate) text: String,
    pattern: Pattern,
    matcher: Matcher,
    buffer: Vec<char>,
    /// The score of the row in a slot, if it was computed.
    scores: Vec<Option<u32>>,
    /// Whether rows are sorted by score, until the operator selects a column.
    pub(crate) is_ranked: bool,
}

impl SearchQuery {
    pub(crate) fn new(text: String) -> Self {
        Self {
            pattern: Pattern::new(&text, CaseMatching::Smart, Normalization::Smart, AtomKind::Fuzzy),
            text,
            matcher: Matcher::new(Config::DEFAULT),
            buffer: Vec::new(),
            scores: Vec::new(),
            is_ranked: true,
        }
    }

    /// Computes a user's score and caches it by slot; `None` if the user does not match.
    pub(crate) fn score(&mut self, slot: Slot, user: &UserId) -> Option<u32> {
        let haystack = Utf32Str::new(user.as_str(), &mut self.buffer);
        let score = self.pattern.score(haystack, &mut self.matcher);
        // The exact id ranks first, before ids that differ only in case.
        let score = score.map(|score| if user.as_str() == self.text { u32::MAX } else { score });
        let index = slot as usize;
        if self.scores.len() <= index {
            self.scores.resize(index + 1, None);
        }
        self.scores[index] = score;
        score
    }

    /// The cached score of a slot.
    pub(crate) fn cached_score(&self, slot: Slot) -> Option<u32> {
        self.scores.get(slot as usize).copied().flatten()
    }

    /// The positions of the matching characters.
    pub(crate) fn match_positions(&self, user: &UserId) -> Vec<u32> {
        let (mut positions, mut buffer) = (Vec::new(), Vec::new());
        let haystack = Utf32Str::new(user.as_str(), &mut buffer);
        let mut matcher = Matcher::new(Config::DEFAULT);
        self.pattern.indices(haystack, &mut matcher, &mut positions);
        positions.sort_unstable();
        positions.dedup();
        positions
    }
}
