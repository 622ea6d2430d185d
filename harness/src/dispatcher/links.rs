//! Verbs about links, and about machines that stand still.

use super::{Action, ClientId, Dispatcher, Life};
use crate::plan::{Backend, Target};
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
                Ok(lines) => return self.actions.push(Action::Pcap { client, lines, on }),
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
        let target = self.link_to_touch(link)?;
        let way = way.map(|word| self.is_up(target, word)).transpose()?;
        let strike = match way {
            None => Strike::Cut(Way::Both),
            Some(true) => Strike::Cut(Way::From),
            Some(false) => Strike::Cut(Way::To),
        };
        let which = way.map_or_else(String::new, |up| {
            let [one, other] = match target {
                Target::Node(_) => ["the node", "the switch"],
                Target::Cable(cable) => self.plan.cable_ends(cable),
            };
            let (from, to) = if up { (one, other) } else { (other, one) };
            format!(" from {from} to {to}")
        });
        self.strike_line(now, strike, target, None);
        Ok(format!("{} is cut{which}", self.line_name(target)))
    }

    fn heal(&mut self, now: Duration, link: Option<&str>) -> Result<String, String> {
        let targets = match link {
            Some(link) => vec![self.link_to_touch(link)?],
            None => {
                let name = self.name(0).to_owned();
                self.link_to_touch(&name)?;
                let nodes = (0..self.plan.machines()).map(Target::Node);
                nodes.chain((0..self.plan.cables.len()).map(Target::Cable)).collect()
            }
        };
        for target in &targets {
            self.strike_line(now, Strike::Heal, *target, None);
        }
        Ok(match (link, targets.as_slice()) {
            (Some(_), [target]) => format!("{} is as in the file", self.line_name(*target)),
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
        let target = self.link_to_touch(link)?;
        let way = way.map(|word| find_way(target, word)).transpose()?;
        let macs: Vec<(&str, [u8; 6])> = (self.plan.nodes.iter())
            .filter_map(|n| Some((n.name.as_str(), crate::switch::card(&n.mac)?)))
            .collect();
        let changes = topology::link_changes(changes, &macs, self.is_node_first(target), way)?;
        let words = match target {
            Target::Node(_) => topology::change_words(&changes),
            Target::Cable(cable) => {
                topology::cable_change_words(&changes, self.plan.cable_ends(cable))
            }
        };
        self.strike_line(now, Strike::Degrade, target, Some(&changes));
        Ok(format!("{}: {words}", self.line_name(target)))
    }

    fn strike_line(
        &mut self,
        now: Duration,
        strike: Strike,
        target: Target,
        changes: Option<&[netem::Change; 2]>,
    ) {
        match target {
            Target::Node(node) => self.strike(now, strike, node, changes),
            Target::Cable(cable) => self.strike_cable(strike, cable, changes),
        }
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

    /// The lines to record, if frames of them pass through the harness's switches.
    fn captured(&self, link: Option<&str>) -> Result<Vec<usize>, String> {
        if !self.plan.needs_switch() {
            let backend = self.plan.backend.name();
            return Err(format!("no frames pass a switch on backend {backend} here: use qemu"));
        }
        match link {
            Some(link) => Ok(vec![self.line_of(self.find_link(link)?)]),
            None => Ok((0..self.plan.lines()).collect()),
        }
    }

    /// A link or a cable, when verbs may do something to it.
    fn link_to_touch(&self, link: &str) -> Result<Target, String> {
        let target = self.find_link(link)?;
        let nodes = match target {
            Target::Node(node) => node..node + 1,
            // Frames of any two may pass it.
            Target::Cable(_) => 0..self.plan.machines(),
        };
        self.node_to_touch(self.name(nodes.start))?;
        for node in nodes {
            let transports = &self.plan.nodes[node].transports;
            let mut others = (0..transports.len()).filter(|other| *other != node);
            if self.plan.backend == Backend::Process
                && others.any(|n| transports[n] == Transport::Tcp)
            {
                let name = self.name(node);
                return Err(format!(
                    "{name} speaks tcp, which passes no switch between processes: use backend qemu, or \
                     `transport: ethernet`"
                ));
            }
        }
        Ok(target)
    }

    /// A link by the name of its node or its own: `n0`, `n0-sw0` or `sw0-n0`; or a cable by its name.
    fn find_link(&self, name: &str) -> Result<Target, String> {
        let machines = 0..self.plan.machines();
        let switch = |node: usize| self.plan.switches[self.plan.nodes[node].switch].name.as_str();
        let is = |node: &usize| {
            let own = self.name(*node);
            own == name
                || self.plan.link_name(*node) == name
                || format!("{}-{own}", switch(*node)) == name
        };
        if let Some(cable) = self.plan.cables.iter().position(|cable| cable.name == name) {
            return Ok(Target::Cable(cable));
        }
        machines.clone().find(is).map(Target::Node).ok_or_else(|| {
            let names: Vec<_> = (0..self.plan.lines()).map(|n| self.plan.line_name(n)).collect();
            format!("no link {name}: there are {}", names.join(", "))
        })
    }

    fn line_of(&self, target: Target) -> usize {
        match target {
            Target::Node(node) => node,
            Target::Cable(cable) => self.plan.machines() + cable,
        }
    }

    fn line_name(&self, target: Target) -> String {
        self.plan.line_name(self.line_of(target))
    }

    /// Of a cable, the first end counts as a node's.
    fn is_node_first(&self, target: Target) -> bool {
        match target {
            Target::Node(node) => self.plan.nodes[node].node_first,
            Target::Cable(_) => true,
        }
    }

    fn is_up(&self, target: Target, way: &str) -> Result<bool, String> {
        Ok(find_way(target, way)?.is_up(self.is_node_first(target)))
    }
}

fn find_way(target: Target, word: &str) -> Result<Direction, String> {
    let found = Direction::ALL.iter().find(|(name, _)| *name == word).map(|(_, way)| *way);
    match (target, found) {
        (Target::Cable(_), None | Some(Direction::Up | Direction::Down)) => {
            Err(format!("a cable has no direction {word}: write a-to-b or b-to-a"))
        }
        (Target::Node(_), None) => {
            Err(format!("no direction {word}: write up, down, a-to-b or b-to-a"))
        }
        (_, Some(way)) => Ok(way),
    }
}
