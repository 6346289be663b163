//! Sessions that say which one they continue.

use presence::SessionName;

use super::naive::Lost;
use super::world::World;

impl World {
    pub(super) fn resume(&mut self, index: usize, of: usize) {
        let (now, client) = (self.now(), &self.clients[index]);
        let (of, name) = self.names[of];
        let own: SessionName = client.client.conn.name();
        let lost = if name.run == own.run {
            Lost::Here(of)
        } else {
            Lost::Earlier(of)
        };
        self.daemon().engine.heard(&client.client.conn);
        self.daemon().engine.message(&client.client.conn);
        let answer = self.daemon().engine.resume(&client.client.conn, Some(name));
        assert_eq!(answer.is_some(), client.is_open);
        let (id, user) = (client.id, client.user);
        if let Some(resumption) = answer {
            assert_eq!(
                resumption.is_resumed,
                self.model(user).resume(now, id, lost),
                "{user} {lost:?}"
            );
        }
    }
}
