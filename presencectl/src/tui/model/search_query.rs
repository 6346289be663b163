//! Searching users by what one remembers of their ids.

use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use presence::UserId;

use super::known_users::Slot;

/// What one searches: characters that an id has in this order, words in any.
#[derive(Debug)]
pub(crate) struct SearchQuery {
    pub(crate) text: String,
    pattern: Pattern,
    matcher: Matcher,
    buffer: Vec<char>,
    /// How well the row in a slot matches, as far as it was asked.
    scores: Vec<Option<u32>>,
    /// Whether the best match comes first, until a column is chosen.
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

    /// Asks how well a user matches, and remembers it for its slot; none if it does not.
    pub(crate) fn ask(&mut self, slot: Slot, user: &UserId) -> Option<u32> {
        let haystack = Utf32Str::new(user.as_str(), &mut self.buffer);
        let score = self.pattern.score(haystack, &mut self.matcher);
        // Whose id is typed whole is meant, whoever else is called so in other letters.
        let score = score.map(|score| if user.as_str() == self.text { u32::MAX } else { score });
        let index = slot as usize;
        if self.scores.len() <= index {
            self.scores.resize(index + 1, None);
        }
        self.scores[index] = score;
        score
    }

    /// What was answered for a slot.
    pub(crate) fn known(&self, slot: Slot) -> Option<u32> {
        self.scores.get(slot as usize).copied().flatten()
    }

    /// Where an id matches, as places of characters.
    pub(crate) fn places(&self, user: &UserId) -> Vec<u32> {
        let (mut places, mut buffer) = (Vec::new(), Vec::new());
        let haystack = Utf32Str::new(user.as_str(), &mut buffer);
        let mut matcher = Matcher::new(Config::DEFAULT);
        self.pattern.indices(haystack, &mut matcher, &mut places);
        places.sort_unstable();
        places.dedup();
        places
    }
}
