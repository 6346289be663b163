//! Parses the table of users from the text of a screen. Positions are columns and rows, counted from 0.

#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// The header row, without the panels beside the table.
    pub(crate) head: String,
    /// The column at which the header begins.
    pub(crate) x: usize,
    pub(crate) y: usize,
    /// The rows that show a user.
    pub(crate) rows: Vec<String>,
    /// The index of the selected row.
    pub(crate) selected: Option<usize>,
}

impl Table {
    /// The user ids, in the order of the rows.
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

    pub(crate) fn row(&self, user: &str) -> Option<&str> {
        let is_of = |row: &&String| row.split_whitespace().any(|word| word == user);
        self.rows.iter().find(is_of).map(String::as_str)
    }

    /// The selected user.
    pub(crate) fn selected(&self) -> Option<&str> {
        self.users().get(self.selected?).copied()
    }

    /// Whether the row of the user contains this text.
    pub(crate) fn row_contains(&self, user: &str, text: &str) -> bool {
        self.row(user).is_some_and(|row| row.contains(text))
    }

    /// The position of a column header.
    pub(crate) fn heading(&self, heading: &str) -> Option<(usize, usize)> {
        let at = self.head.find(heading)?;
        Some((self.x + self.head[..at].chars().count(), self.y))
    }

    /// The position of a user's row.
    pub(crate) fn position(&self, user: &str) -> Option<(usize, usize)> {
        let index = self
            .rows
            .iter()
            .position(|row| row.split_whitespace().any(|word| word == user))?;
        Some((self.x, self.y + 1 + index))
    }
}

/// Finds the table on a screen.
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

/// Whether the screen shows the table and it satisfies the condition.
pub(crate) fn has_table(screen: &str, is_such: impl Fn(&Table) -> bool) -> bool {
    table(screen).is_some_and(|table| is_such(&table))
}
