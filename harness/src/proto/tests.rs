use super::{EXIT_TESTBED, Request, Response};
use images_control::{from_line, to_line};

#[test]
fn requests_stand_on_the_wire_as_written_here() {
    assert_eq!(to_line(&Request::Run), "{\"type\":\"run\"}\n");
    let kill = Request::Kill { node: "n1".to_owned() };
    assert_eq!(to_line(&kill), "{\"type\":\"kill\",\"node\":\"n1\"}\n");
    assert_eq!(from_line::<Request>(&to_line(&kill)), Ok(kill));
}

#[test]
fn responses_come_back_as_they_were() {
    let responses = [
        Response::Progress { done: 1, of: 4, text: "n0 is ready".to_owned() },
        Response::Note { text: "a line\nwith a line feed".to_owned() },
        Response::Done { text: "done".to_owned() },
        Response::failed(EXIT_TESTBED, "no"),
        Response::Verdict { result: Box::new(crate::table::tests::run()) },
    ];
    for response in responses {
        let line = to_line(&response);
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert_eq!(from_line::<Response>(&line), Ok(response));
    }
}

#[test]
fn nonsense_is_refused_with_a_reason() {
    for line in ["", "{}", "{\"type\":\"fly\"}", "{\"type\":\"kill\"}", "\u{0}", "[1,2"] {
        let refused = from_line::<Request>(line).unwrap_err().to_string();
        assert!(refused.starts_with("bad control message: "), "{refused}");
    }
}
