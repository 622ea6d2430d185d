//! A program on MCAPI: what each machine is told of it. Its nodes find each other by a topology file, which says of
//! this cluster what the user's file says, with the addresses and times that hold here.

use super::super::{Backend, Program, Setting};
use std::fmt::Write as _;
use std::net::SocketAddr;
use topology::{McapiName, Topology, Transport};

/// Where a guest has the file.
const GUEST_FILE: &str = "/mcapi.yaml";

/// The program of a topology, if it has one.
pub(super) fn program(topology: &Topology, setting: &Setting<'_>) -> Option<Program> {
    let program = topology.run.as_ref()?.program.as_ref()?;
    let (path, file) = match setting.backend {
        Backend::Qemu => (images::PROGRAM.to_owned(), GUEST_FILE.to_owned()),
        Backend::Process | Backend::Sim => {
            let (path, file) = setting.program?;
            (path.display().to_string(), file.display().to_string())
        }
    };
    let spec = images_control::Program {
        path,
        args: program.args.clone(),
        nodes: Vec::new(),
        topology: file_text(topology, setting),
        file,
    };
    let nodes = topology.nodes.iter().map(|n| n.mcapi.iter().map(|name| name.node).collect());
    Some(Program { spec, nodes: nodes.collect(), timeout: program.timeout })
}

/// The file that the nodes of the program are placed by.
fn file_text(topology: &Topology, setting: &Setting<'_>) -> String {
    let mut text = format!("name: {}\nboards:\n", topology.name);
    // Writing to a string cannot fail.
    for (board, ((name, bytes), carries)) in
        (0..).zip(topology.boards.iter().zip(&topology.board_memory).zip(&topology.board_carries))
    {
        let linked =
            topology.memory_links.iter().any(|[one, _]| topology.nodes[one.index()].board == board);
        // What guests do not use for MCAPI, their program need not know of.
        let common = match (carries, linked) {
            (true, _) => format!("shared-memory: {bytes}B"),
            (false, true) => format!("shared-memory: {bytes}B, transport: links"),
            (false, false) => String::new(),
        };
        let _ = writeln!(text, "  {name}: {{ {common} }}");
    }
    text.push_str("nodes:\n");
    for (index, node) in topology.nodes.iter().enumerate() {
        // Every process has a loopback address of its own.
        let own = setting.loopback.map(|loopback| loopback.address(index));
        let own = own.and_then(|address| address.parse::<SocketAddr>().ok());
        let address = own.map_or_else(|| node.address.to_string(), |own| own.ip().to_string());
        let board = &topology.boards[usize::from(node.board)];
        let mac = node.mac.map(|byte| format!("{byte:02x}")).join(":");
        let names = node
            .mcapi
            .iter()
            .map(|McapiName { domain, node }| format!("{{ domain: {domain}, node: {node} }}"));
        let names: Vec<String> = names.collect();
        let _ = writeln!(
            text,
            "  {}: {{ role: compute, board: {board}, address: {address}, mac: \"{mac}\", mcapi: [{}] }}",
            node.name,
            names.join(", ")
        );
    }
    let switches: Vec<String> =
        topology.switches.iter().map(|s| format!("{}: {{}}", s.name)).collect();
    let _ = writeln!(text, "switches: {{ {} }}\nlinks:", switches.join(", "));
    for link in &topology.links {
        // A process has no card of its own.
        let transport = match link.transport {
            Transport::Ethernet if setting.backend == Backend::Qemu => "ethernet",
            _ => "tcp",
        };
        let (node, switch) =
            (&topology.nodes[link.node].name, &topology.switches[link.switch].name);
        let mtu = link.mtu;
        let _ = writeln!(
            text,
            "  - {{ between: [{node}, {switch}], transport: {transport}, mtu: {mtu} }}"
        );
    }
    for ends in &topology.memory_links {
        let [one, other] = ends.map(|node| topology.name_of(node));
        let _ = writeln!(text, "  - {{ between: [{one}, {other}], transport: shm }}");
    }
    let runtime = &topology.runtime;
    let heartbeat = runtime.heartbeat.saturating_mul(setting.factor).as_micros();
    let (suspect, port) = (runtime.suspect_after, runtime.mcapi_port);
    let _ = writeln!(
        text,
        "runtime: {{ heartbeat: {heartbeat}us, suspect-after: {suspect}, mcapi-port: {port} }}"
    );
    text
}
