//! Verbs about links, and about machines that stand still.

use super::{Action, ClientId, Dispatcher, Life};
use crate::plan::Backend;
use crate::proto::{EXIT_USAGE, Request, Response};
use images_control::Transport;
use std::time::Duration;
use topology::{Direction, Strike, Way};

impl Dispatcher {
    /// Does what a verb asks of a link or of a machine that is to stand still, and answers it.
    pub(super) fn touch(&mut self, now: Duration, client: ClientId, request: Request) {
        let answer = match request {
            Request::Cut { link, one_way } => self.cut(now, &link, one_way.as_deref()),
            Request::Heal { link } => self.heal(now, link.as_deref()),
            Request::Degrade { link, direction, changes } => {
                self.degrade(now, &link, direction.as_deref(), &changes)
            }
            Request::Pause { node } => self.freeze(now, &node, Strike::Pause),
            Request::Resume { node } => self.freeze(now, &node, Strike::Resume),
            Request::Pcap { on, link } => match self.captured(link.as_deref()) {
                // Whoever opens the files answers.
                Ok(nodes) => return self.actions.push(Action::Pcap { client, nodes, on }),
                Err(reason) => Err(reason),
            },
            _ => return,
        };
        let response = match answer {
            Ok(text) => Response::Done { text },
            Err(reason) => Response::failed(EXIT_USAGE, reason),
        };
        self.reply(client, response);
    }

    fn cut(&mut self, now: Duration, link: &str, way: Option<&str>) -> Result<String, String> {
        let node = self.link_to_touch(link)?;
        let way = way.map(|word| self.is_up(node, word)).transpose()?;
        let (strike, which) = match way {
            None => (Strike::Cut(Way::Both), ""),
            Some(true) => (Strike::Cut(Way::From), " from the node to the switch"),
            Some(false) => (Strike::Cut(Way::To), " from the switch to the node"),
        };
        self.strike(now, strike, node, None);
        Ok(format!("{} is cut{which}", self.plan.link_name(node)))
    }

    fn heal(&mut self, now: Duration, link: Option<&str>) -> Result<String, String> {
        let nodes = match link {
            Some(link) => vec![self.link_to_touch(link)?],
            None => {
                let name = self.name(0).to_owned();
                self.link_to_touch(&name)?;
                (0..self.plan.machines()).collect()
            }
        };
        for node in &nodes {
            self.strike(now, Strike::Heal, *node, None);
        }
        Ok(match (link, nodes.as_slice()) {
            (Some(_), [node]) => format!("{} is as in the file", self.plan.link_name(*node)),
            _ => "all links are as in the file".to_owned(),
        })
    }

    fn degrade(
        &mut self,
        now: Duration,
        link: &str,
        way: Option<&str>,
        changes: &[String],
    ) -> Result<String, String> {
        let node = self.link_to_touch(link)?;
        let way = way.map(find_way).transpose()?;
        let macs: Vec<(&str, [u8; 6])> = (self.plan.nodes.iter())
            .filter_map(|n| Some((n.name.as_str(), crate::switch::card(&n.mac)?)))
            .collect();
        let first = self.plan.nodes[node].node_first;
        let changes = topology::link_changes(changes, &macs, first, way)?;
        let words = topology::change_words(&changes);
        self.strike(now, Strike::Degrade, node, Some(&changes));
        Ok(format!("{}: {words}", self.plan.link_name(node)))
    }

    fn freeze(&mut self, now: Duration, name: &str, strike: Strike) -> Result<String, String> {
        let node = self.machine_to_touch(name)?;
        let is_paused = self.nodes[node].away == Some("paused");
        if self.nodes[node].life == Life::Dead {
            return Err(format!("{name} is dead: start it again with `understudy reboot {name}`"));
        }
        match (strike, is_paused) {
            (Strike::Pause, true) => return Ok(format!("{name} stands still already")),
            (Strike::Resume, false) => return Ok(format!("{name} is not paused")),
            _ => self.strike(now, strike, node, None),
        }
        Ok(if strike == Strike::Pause {
            format!("{name} stands still: `understudy resume {name}` lets it go on")
        } else {
            format!("{name} goes on")
        })
    }

    /// The node of a link, if frames of it pass through the harness's switch.
    fn captured(&self, link: Option<&str>) -> Result<Vec<usize>, String> {
        if !self.plan.needs_switch() {
            let backend = self.plan.backend.name();
            return Err(format!("no frames pass a switch on backend {backend} here: use qemu"));
        }
        match link {
            Some(link) => Ok(vec![self.find_link(link)?]),
            None => Ok((0..self.plan.machines()).collect()),
        }
    }

    /// The node of a link, when verbs may do something to links.
    fn link_to_touch(&self, link: &str) -> Result<usize, String> {
        let node = self.find_link(link)?;
        self.node_to_touch(self.name(node))?;
        let transports = &self.plan.nodes[node].transports;
        let mut others = (0..transports.len()).filter(|other| *other != node);
        if self.plan.backend == Backend::Process && others.any(|n| transports[n] == Transport::Tcp)
        {
            let name = self.name(node);
            return Err(format!(
                "{name} speaks tcp, which passes no switch between processes: use backend qemu, or \
                 `transport: ethernet`"
            ));
        }
        Ok(node)
    }

    /// The node of a link by the name of either: `n0`, `n0-sw0` or `sw0-n0`.
    fn find_link(&self, name: &str) -> Result<usize, String> {
        let machines = 0..self.plan.machines();
        let switch = |node: usize| self.plan.switches[self.plan.nodes[node].switch].name.as_str();
        let is = |node: &usize| {
            let own = self.name(*node);
            own == name
                || self.plan.link_name(*node) == name
                || format!("{}-{own}", switch(*node)) == name
        };
        machines.clone().find(is).ok_or_else(|| {
            let names: Vec<_> = machines.map(|node| self.plan.link_name(node)).collect();
            format!("no link {name}: there are {}", names.join(", "))
        })
    }

    fn is_up(&self, node: usize, way: &str) -> Result<bool, String> {
        Ok(find_way(way)?.is_up(self.plan.nodes[node].node_first))
    }
}

fn find_way(word: &str) -> Result<Direction, String> {
    let found = Direction::ALL.iter().find(|(name, _)| *name == word).map(|(_, way)| *way);
    found.ok_or_else(|| format!("no direction {word}: write up, down, a-to-b or b-to-a"))
}
