//! A single-line text input, edited at its end: for the search and the command palette.

/// The longest user id, in characters.
const CHARS_MAX: usize = presence::USER_ID_MAX_BYTES;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TextInput {
    text: String,
}

impl TextInput {
    pub(crate) fn new(text: &str) -> Self {
        let mut input = Self::default();
        input.insert(text);
        input
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Appends text, without control characters.
    pub(crate) fn insert(&mut self, text: &str) {
        let room = CHARS_MAX.saturating_sub(self.text.chars().count());
        self.text.extend(text.chars().filter(|c| !c.is_control()).take(room));
    }

    pub(crate) fn erase(&mut self) {
        self.text.pop();
    }

    /// Removes the last word and the space after it.
    pub(crate) fn erase_word(&mut self) {
        let trimmed = self.text.trim_end();
        let end = trimmed.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        self.text.truncate(end);
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_drops_control_characters_and_bounds_its_length() {
        let mut input = TextInput::new("ann\u{1b}[31m\n bob");
        assert_eq!(input.text(), "ann[31m bob");
        input.erase_word();
        assert_eq!(input.text(), "ann[31m ");
        input.erase_word();
        assert_eq!(input.text(), "");
        input.insert(&"é".repeat(500));
        assert_eq!(input.text().chars().count(), CHARS_MAX);
        input.erase();
        assert_eq!(input.text().chars().count(), CHARS_MAX - 1);
    }
}
