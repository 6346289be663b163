//! The colours of the dashboard, and their substitutes without colour. A status has a sign, the cursor's row a mark and
//! the focused panel another title, so no information depends on colour.

use presence::Status;
use ratatui::style::{Color, Modifier, Style};

/// The terminal's colour support.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ColourDepth {
    Rich,
    /// The sixteen colours of the terminal's own palette.
    Sixteen,
    Plain,
}

/// The styles. Only foregrounds are coloured, readable on dark and light backgrounds; selections are reversed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Theme {
    palette: ColourDepth,
}

impl Theme {
    pub(crate) const fn rich() -> Self {
        Self {
            palette: ColourDepth::Rich,
        }
    }

    pub(crate) const fn sixteen() -> Self {
        Self {
            palette: ColourDepth::Sixteen,
        }
    }

    pub(crate) const fn plain() -> Self {
        Self {
            palette: ColourDepth::Plain,
        }
    }

    /// From the variables `NO_COLOR` (no-color.org: if not empty), `TERM` and `COLORTERM`.
    pub(crate) fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let is_set = |name| variable(name).is_some_and(|value| !value.is_empty());
        let term = variable("TERM").unwrap_or_default();
        if is_set("NO_COLOR") || matches!(term.as_str(), "" | "dumb" | "vt100" | "vt220") {
            return Self::plain();
        }
        let is_rich = term.contains("256color") || term.contains("direct") || is_set("COLORTERM");
        if is_rich { Self::rich() } else { Self::sixteen() }
    }

    const fn colour(self, rich: u8, sixteen: Color) -> Style {
        match self.palette {
            ColourDepth::Rich => Style::new().fg(Color::Indexed(rich)),
            ColourDepth::Sixteen => Style::new().fg(sixteen),
            ColourDepth::Plain => Style::new(),
        }
    }

    /// Green, amber, red, grey.
    pub(crate) const fn status(self, status: Status) -> Style {
        match status {
            Status::Online => self.colour(29, Color::Green),
            Status::Idle => self.colour(136, Color::Yellow),
            Status::DoNotDisturb => self.colour(167, Color::Red).add_modifier(Modifier::BOLD),
            Status::Offline => self.faint(),
        }
    }

    pub(crate) const fn faint(self) -> Style {
        match self.palette {
            ColourDepth::Plain => Style::new().add_modifier(Modifier::DIM),
            _ => self.colour(245, Color::DarkGray),
        }
    }

    pub(crate) const fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(crate) const fn border(self, has_focus: bool) -> Style {
        if has_focus { self.accent() } else { self.faint() }
    }

    pub(crate) const fn title(self, has_focus: bool) -> Style {
        match (self.palette, has_focus) {
            (ColourDepth::Plain, true) => self.strong().add_modifier(Modifier::REVERSED),
            (_, true) => self.accent().add_modifier(Modifier::BOLD),
            (_, false) => self.strong(),
        }
    }

    /// Keys, carets, sparklines.
    pub(crate) const fn accent(self) -> Style {
        self.colour(32, Color::Cyan)
    }

    /// A key in a hint or the help.
    pub(crate) const fn key(self) -> Style {
        self.accent().add_modifier(Modifier::BOLD)
    }

    pub(crate) const fn heading(self) -> Style {
        self.faint().add_modifier(Modifier::UNDERLINED)
    }

    /// The heading of the sort column.
    pub(crate) const fn sorted(self) -> Style {
        self.accent().add_modifier(Modifier::BOLD.union(Modifier::UNDERLINED))
    }

    /// The row with the cursor; the highlighted entry of a menu.
    pub(crate) const fn marked(self) -> Style {
        // One bar in a single colour: reversed status colours would be patches.
        Style::new()
            .fg(Color::Reset)
            .add_modifier(Modifier::REVERSED)
            .remove_modifier(Modifier::DIM)
    }

    /// Characters that match the search.
    pub(crate) const fn matched(self) -> Style {
        self.colour(170, Color::Magenta)
            .add_modifier(Modifier::BOLD.union(Modifier::UNDERLINED))
    }

    pub(crate) const fn good(self) -> Style {
        self.status(Status::Online)
    }

    pub(crate) const fn bad(self) -> Style {
        self.colour(167, Color::Red)
            .add_modifier(Modifier::BOLD.union(Modifier::REVERSED))
    }

    pub(crate) const fn unusual(self) -> Style {
        self.colour(136, Color::Yellow).add_modifier(Modifier::BOLD)
    }

    /// Panels with outdated data.
    pub(crate) const fn stale(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Theme {
        Theme::from_environment(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_theme_follows_term_and_no_color() {
        assert_eq!(of(&[("TERM", "xterm-256color")]), Theme::rich());
        assert_eq!(of(&[("TERM", "xterm"), ("COLORTERM", "truecolor")]), Theme::rich());
        assert_eq!(of(&[("TERM", "xterm")]), Theme::sixteen());
        assert_eq!(of(&[("TERM", "xterm"), ("NO_COLOR", "")]), Theme::sixteen());
        assert_eq!(of(&[("TERM", "xterm-256color"), ("NO_COLOR", "1")]), Theme::plain());
        assert_eq!(of(&[("TERM", "dumb")]), Theme::plain());
        assert_eq!(of(&[]), Theme::plain());
    }

    /// Contrast as in WCAG 2, of the colours 16 to 255 of the common 256.
    fn contrast(index: u8, other: f64) -> f64 {
        let steps = [0.0, 95.0, 135.0, 175.0, 215.0, 255.0];
        let channels = match index {
            232.. => [8.0 + f64::from(index - 232) * 10.0; 3],
            _ => [36, 6, 1].map(|weight| steps[usize::from((index - 16) / weight % 6)]),
        };
        let [r, g, b] = channels.map(|channel: f64| match channel / 255.0 {
            ..=0.04045 => channel / 255.0 / 12.92,
            channel => ((channel + 0.055) / 1.055).powf(2.4),
        });
        let luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
        (luminance.max(other) + 0.05) / (luminance.min(other) + 0.05)
    }

    #[test]
    fn every_colour_is_readable_on_black_and_on_white() {
        let theme = Theme::rich();
        let mut styles = Status::ALL.map(|status| theme.status(status)).to_vec();
        styles.extend([
            theme.accent(),
            theme.matched(),
            theme.bad(),
            theme.unusual(),
            theme.faint(),
        ]);
        for style in styles {
            let Some(Color::Indexed(index)) = style.fg else {
                panic!("{style:?}");
            };
            for background in [0.0, 1.0] {
                let contrast = contrast(index, background);
                assert!(contrast >= 3.0, "{index} on {background}: {contrast:.2}");
            }
        }
    }

    #[test]
    fn a_theme_uses_only_the_colours_of_its_depth() {
        let styles = |theme: Theme| {
            let mut styles: Vec<Style> = Status::ALL.map(|status| theme.status(status)).to_vec();
            for has_focus in [false, true] {
                styles.extend([theme.border(has_focus), theme.title(has_focus)]);
            }
            styles.extend([
                theme.faint(),
                theme.strong(),
                theme.accent(),
                theme.key(),
                theme.heading(),
                theme.sorted(),
                theme.marked(),
                theme.matched(),
                theme.bad(),
                theme.unusual(),
                theme.stale(),
            ]);
            styles
        };
        assert!(
            styles(Theme::plain())
                .iter()
                .all(|style| matches!(style.fg, None | Some(Color::Reset)) && style.bg.is_none())
        );
        let is_named = |style: &Style| !matches!(style.fg, Some(Color::Indexed(_) | Color::Rgb(..)));
        assert!(styles(Theme::sixteen()).iter().all(is_named));
    }
}
