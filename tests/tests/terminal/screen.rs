//! Reads a screen as people do: where the table is, its head and its rows. Places are columns and rows from 0.

/// The table of users.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// The line of the headings, without what is beside the table.
    pub(crate) head: String,
    /// Where the head begins.
    pub(crate) x: usize,
    pub(crate) y: usize,
    /// The rows with somebody in them.
    pub(crate) rows: Vec<String>,
    /// Which of them is marked as selected.
    pub(crate) selected: Option<usize>,
}

impl Table {
    /// The ids, in the order of the rows.
    pub(crate) fn users(&self) -> Vec<&str> {
        let id = |row: &'_ String| row.split_whitespace().find(|word| word.len() > 1).map(str::len);
        self.rows
            .iter()
            .filter_map(|row| {
                let length = id(row)?;
                row.split_whitespace()
                    .find(|word| word.len() == length && word.len() > 1)
            })
            .collect()
    }

    /// The row of a user.
    pub(crate) fn row(&self, user: &str) -> Option<&str> {
        let is_of = |row: &&String| row.split_whitespace().any(|word| word == user);
        self.rows.iter().find(is_of).map(String::as_str)
    }

    /// Who is selected.
    pub(crate) fn selected(&self) -> Option<&str> {
        self.users().get(self.selected?).copied()
    }

    /// Whether the user is listed, and the row has this.
    pub(crate) fn says(&self, user: &str, text: &str) -> bool {
        self.row(user).is_some_and(|row| row.contains(text))
    }

    /// Where a heading is on the screen.
    pub(crate) fn heading(&self, heading: &str) -> Option<(usize, usize)> {
        let at = self.head.find(heading)?;
        Some((self.x + self.head[..at].chars().count(), self.y))
    }

    /// Where a user's row is on the screen.
    pub(crate) fn place(&self, user: &str) -> Option<(usize, usize)> {
        let index = self
            .rows
            .iter()
            .position(|row| row.split_whitespace().any(|word| word == user))?;
        Some((self.x, self.y + 1 + index))
    }
}

/// The table on this screen, if it is in sight.
pub(crate) fn table(screen: &str) -> Option<Table> {
    let lines: Vec<Vec<char>> = screen.lines().map(|line| line.chars().collect()).collect();
    let (y, x) = lines.iter().enumerate().find_map(|(y, line)| {
        let text: String = line.iter().collect();
        (text.contains("STATUS") || text.contains("USER ")).then_some(())?;
        let at = text.find("USER")?;
        Some((y, text[..at].chars().count()))
    })?;
    let inside = |line: &[char]| -> String {
        let inside = line.get(x..).unwrap_or_default();
        inside
            .iter()
            .take_while(|c| **c != '│')
            .collect::<String>()
            .trim_end()
            .to_owned()
    };
    let marked = |line: &Vec<char>| line.get(x.saturating_sub(1)) == Some(&'▶');
    let rows = lines[y + 1..]
        .iter()
        .take_while(|line| !line.get(x.saturating_sub(1)).is_some_and(|c| "└╰├".contains(*c)))
        .map(|line| inside(line))
        .take_while(|row| !row.is_empty());
    Some(Table {
        head: inside(&lines[y]),
        x,
        y,
        selected: lines[y + 1..].iter().position(marked),
        rows: rows.collect(),
    })
}

/// Whether the table is in sight and is such.
pub(crate) fn has_table(screen: &str, is_such: impl Fn(&Table) -> bool) -> bool {
    table(screen).is_some_and(|table| is_such(&table))
}
