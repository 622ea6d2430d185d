//! Which MCAPI nodes live on which node.

use super::fields::Fields;
use crate::error::Reader;
use crate::model::{McapiName, Node};
use crate::raw::{Shape, Yaml};
use crate::units;

/// Domain of names that give none.
const DOMAIN: u32 = 1;
/// MCAPI nodes of one node: each has a port.
const MOST: usize = 64;
const EXAMPLE: &str = "write for example `mcapi: [1, 2]` or `mcapi: [{ domain: 0, node: 7 }]`";

/// Names that the file gives, each with the index of its node.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<(McapiName, usize)>);

impl Names {
    /// Reads the names of one node.
    pub(super) fn read(&mut self, r: &mut Reader<'_>, index: usize, yaml: &Yaml) {
        let items = r.items(yaml, "mcapi", EXAMPLE);
        if items.len() > MOST {
            let message = format!("{} MCAPI nodes are too many for one node", items.len());
            r.error(yaml.span, message, format!("at most {MOST} live on one"));
        }
        for item in items.iter().take(MOST) {
            let Some(name) = name(r, item) else { continue };
            if self.0.iter().any(|(known, _)| *known == name) {
                let McapiName { domain, node } = name;
                let message = format!("MCAPI node {node} of domain {domain} is given twice");
                r.error(item.span, message, "a node lives in one place: keep one of them");
            }
            self.0.push((name, index));
        }
    }

    /// Gives nodes their names: those of the file, or, if it gives none at all, their numbers from 1.
    pub(super) fn settle(&self, nodes: &mut [Node]) {
        for (index, node) in nodes.iter_mut().enumerate() {
            let own = self.0.iter().filter(|(_, at)| *at == index).map(|(name, _)| *name);
            node.mcapi = own.collect();
            if self.0.is_empty() {
                let number = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
                node.mcapi.push(McapiName { domain: DOMAIN, node: number });
            }
        }
    }
}

fn name(r: &mut Reader<'_>, yaml: &Yaml) -> Option<McapiName> {
    if let Shape::Text(_) = yaml.shape {
        return Some(McapiName { domain: DOMAIN, node: number(r, yaml, "mcapi")? });
    }
    let fields = Fields::read(r, yaml, yaml.span, "an MCAPI node", &["domain", "node"], &[])?;
    let node = fields.required(r, "node", EXAMPLE)?;
    let domain = fields.get("domain").map_or(Some(DOMAIN), |y| number(r, y, "domain"))?;
    Some(McapiName { domain, node: number(r, node, "node")? })
}

fn number(r: &mut Reader<'_>, yaml: &Yaml, what: &str) -> Option<u32> {
    // All ones is no number of anything.
    let most = u64::from(u32::MAX - 1);
    let read = r.within(yaml, what, (0, most), units::integer, |v| v.to_string());
    read.and_then(|v| u32::try_from(v).ok())
}
