use super::svg;

const FILE: &str = "name: picture
boards: { a: {}, b: {} }
nodes:
  n0: { board: a, role: compute }
  n1: { board: b, role: compute }
  n2: { board: a, role: standby }
switches: { sw0: {} }
links:
  - { between: [n0, sw0], delay: 2ms, loss: 1% }
  - { between: [n1, sw0] }
  - { between: [n2, sw0] }
";

#[test]
fn a_picture_shows_boards_nodes_switches_and_what_links_do() {
    let topology = topology::parse("picture", FILE).unwrap();
    let text = svg(&topology, None);
    assert!(text.starts_with("<svg xmlns=") && text.ends_with("</svg>\n"), "{text}");
    for (what, times) in [
        ("class=\"board\"", 2),
        ("class=\"node compute\"", 2),
        ("class=\"node standby\"", 1),
        ("class=\"switch\"", 1),
        ("class=\"link impaired\"", 1),
        ("class=\"link\"", 2),
        (">delay 2ms<", 1),
        (">loss 1%<", 1),
        (">n2<", 1),
    ] {
        assert_eq!(text.matches(what).count(), times, "{what} in {text}");
    }
}

#[test]
fn cables_hang_between_switches_with_what_they_do_and_vlans_are_named() {
    let file = "name: picture
nodes: { n0: { role: compute }, n1: { role: compute } }
switches: { front: {}, rear: {} }
links:
  - { between: [n0, front], vlan: 10 }
  - { between: [n1, rear], vlan: 10, delay: 1ms }
  - { name: trunk, between: [front, rear], loss: { b-to-a: 1% }, vlans: [10, 20] }
";
    let topology = topology::parse("picture", file).unwrap();
    let text = svg(&topology, None);
    for (what, times) in [
        ("<path class=\"link impaired\"", 1),
        (">trunk<", 1),
        (">to front: loss 1%; VLANs 10, 20<", 1),
        (">VLAN 10<", 2),
        (">delay 1ms<", 1),
    ] {
        assert_eq!(text.matches(what).count(), times, "{what} in {text}");
    }
    let port = |switch: &str| crate::proto::PortStatus {
        node: "trunk".to_owned(),
        switch: switch.to_owned(),
        cable: true,
        open: true,
        link: "cut".to_owned(),
        ..Default::default()
    };
    let status = crate::proto::Status {
        cluster: "picture".to_owned(),
        backend: "qemu".to_owned(),
        phase: "up".to_owned(),
        run_dir: String::new(),
        nodes: Vec::new(),
        ports: vec![port("front"), port("rear")],
    };
    let text = svg(&topology, Some(&status));
    assert_eq!(text.matches("<path class=\"link broken\"").count(), 1, "{text}");
}

#[test]
fn cables_of_a_ring_hang_one_below_the_other() {
    let file = "name: picture
nodes: { n0: { role: compute }, n1: { role: compute } }
switches: { front: {}, rear: {} }
links:
  - { between: [n0, front] }
  - { between: [n1, rear] }
  - { name: one, between: [front, rear] }
  - { name: two, between: [rear, front] }
";
    let topology = topology::parse("picture", file).unwrap();
    let text = svg(&topology, None);
    let place = |name: &str| {
        let line = text.lines().find(|line| line.contains(&format!(">{name}<"))).unwrap();
        line.split_once(" y=\"").unwrap().1.split_once('"').unwrap().0.parse::<u32>().unwrap()
    };
    // Two lines of words each.
    assert!(place("two") >= place("one") + 30, "{text}");
}
