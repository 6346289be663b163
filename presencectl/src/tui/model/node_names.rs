//! Interned node names, so that a row stores a small number. Unused numbers are reused.

/// Bound for the names: more lists of nodes than occur in practice.
pub(super) const NODES_MAX: usize = 1024;

/// Number 0 is the empty name.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct NodeNames {
    names: Vec<String>,
    free: Vec<u16>,
}

impl NodeNames {
    pub(super) fn name(&self, number: u16) -> &str {
        self.names.get(usize::from(number)).map_or("", String::as_str)
    }

    /// The position of a name among all.
    pub(super) fn rank(&self, name: &str) -> usize {
        self.names.iter().filter(|other| other.as_str() < name).count()
    }

    /// The number of a list of names; `used` yields the numbers that rows have. 0 if there are too many.
    pub(super) fn number(&mut self, list: &[String], used: impl Iterator<Item = u16>) -> u16 {
        if self.names.is_empty() {
            self.names.push(String::new());
        }
        let known = self.names.iter().position(|known| match list {
            [name] => known == name,
            list => *known == list.join(" "),
        });
        if let Some(number) = known.and_then(|number| u16::try_from(number).ok()) {
            self.free.retain(|free| *free != number);
            return number;
        }
        if self.names.len() < NODES_MAX {
            self.names.push(list.join(" "));
            return u16::try_from(self.names.len() - 1).unwrap_or(0);
        }
        if self.free.is_empty() {
            self.sweep(used);
        }
        let number = self.free.pop().unwrap_or(0);
        if number > 0 {
            self.names[usize::from(number)] = list.join(" ");
        }
        number
    }

    fn sweep(&mut self, used: impl Iterator<Item = u16>) {
        let mut is_used = vec![false; self.names.len()];
        is_used[0] = true;
        for number in used {
            if let Some(is_used) = is_used.get_mut(usize::from(number)) {
                *is_used = true;
            }
        }
        let free = (0..).zip(is_used).filter(|(_, is_used)| !is_used);
        self.free = free.map(|(number, _)| number).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_names_are_replaced_and_used_ones_stay() {
        let mut nodes = NodeNames::default();
        let name = |number: usize| [format!("node-{number}")];
        let first = nodes.number(&name(0), std::iter::empty());
        for number in 1..3 * NODES_MAX {
            let own = nodes.number(&name(number), std::iter::once(first));
            assert_eq!(nodes.name(own), name(number)[0]);
            assert_eq!(nodes.name(first), "node-0");
        }
        assert_eq!(nodes.names.len(), NODES_MAX);
        let last = nodes.free.pop().unwrap();
        nodes.free.push(last);
        let again = nodes.number(&[nodes.name(last).to_owned()], std::iter::empty());
        let other = nodes.number(&name(usize::MAX - 1), std::iter::empty());
        assert!(again == last && other != last, "a name that came back is in use");
        nodes.free.clear();
        assert_eq!(nodes.number(&name(usize::MAX), 0..2000), 0, "all are in use");
    }
}
