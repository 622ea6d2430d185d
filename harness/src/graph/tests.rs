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
fn text_means_itself() {}
