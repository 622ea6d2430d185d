//! A browser without a window, led over its debugging pipe: messages of JSON, each ended by a zero byte.

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// An answer that takes longer will not come.
const PATIENCE: Duration = Duration::from_secs(120);

/// Debian's chromium.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    session: Option<String>,
    sent: u64,
    /// What it complained of: exceptions, errors, anything a page wrote to its console.
    pub complaints: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    /// Starts one.
    #[track_caller]
    #[must_use]
    pub fn start() -> Self {
        let profile = tempfile::tempdir().unwrap_or_else(|e| panic!("no profile: {e}"));
        // It reads messages from descriptor 3 and writes them to 4; a shell puts them there.
        let mut child = Command::new("sh")
            .args(["-c", "exec chromium \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null", "sh"])
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args(["--disable-dev-shm-usage", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("no shell: {e}"));
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            panic!("no pipes to the browser")
        };
        let (sender, receiver) = channel();
        thread::spawn(move || {
            for message in BufReader::new(from).split(0).map_while(Result::ok) {
                // Nobody listens any more when the test is over.
                let Ok(message) = serde_json::from_slice(&message) else { return };
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let complaints = Vec::new();
        let (session, sent, from) = (None, 0, receiver);
        let mut browser = Self { child, to, from, session, sent, complaints, _profile: profile };
        browser.attach();
        browser
    }

    fn attach(&mut self) {
        let page = self.ask("Target.createTarget", &json!({ "url": "about:blank" }));
        let about = json!({ "targetId": page["targetId"], "flatten": true });
        let session = self.ask("Target.attachToTarget", &about);
        self.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log"] {
            self.ask(&format!("{domain}.enable"), &json!({}));
        }
    }

    #[track_caller]
    fn next(&mut self) -> Value {
        let message = match self.from.recv_timeout(PATIENCE) {
            Ok(message) => message,
            Err(e) => panic!("no word from chromium, which `make setup` installs: {e}"),
        };
        let told = ["Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"];
        if told.iter().any(|method| message["method"] == *method) {
            self.complaints.push(message["params"].to_string());
        }
        message
    }

    #[track_caller]
    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.sent += 1;
        let mut message = json!({ "id": self.sent, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        if let Err(e) = self.to.write_all(format!("{message}\0").as_bytes()) {
            panic!("the browser is gone: {e}");
        }
        loop {
            let answer = self.next();
            if answer["id"] == self.sent {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    /// Opens a page in a window of this size, and waits until it is there.
    #[track_caller]
    pub fn open(&mut self, page: &Path, width: u32, height: u32, scheme: &str) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.ask("Emulation.setDeviceMetricsOverride", &size);
        let scheme = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.ask("Emulation.setEmulatedMedia", &scheme);
        self.ask("Page.navigate", &json!({ "url": format!("file://{}", page.display()) }));
        while self.next()["method"] != "Page.loadEventFired" {}
    }

    /// What an expression is in the page.
    #[track_caller]
    pub fn value(&mut self, expression: &str) -> Value {
        let what = json!({ "expression": expression, "returnByValue": true });
        let answer = self.ask("Runtime.evaluate", &what);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }
}

impl Browser {
    /// Presses the mouse at the first of these places of the window, moves it to each of the others, and lets go.
    #[track_caller]
    pub fn drag(&mut self, path: &[(f64, f64)]) {
        let [first, .., last] = path else { panic!("a drag has two places") };
        self.mouse("mouseMoved", *first, 0);
        self.mouse("mousePressed", *first, 1);
        for place in &path[1..] {
            self.mouse("mouseMoved", *place, 1);
        }
        self.mouse("mouseReleased", *last, 0);
    }

    /// Presses a key, and lets go.
    #[track_caller]
    pub fn key(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.ask("Input.dispatchKeyEvent", &json!({ "type": kind, "key": key }));
        }
    }

    #[track_caller]
    fn mouse(&mut self, kind: &str, (x, y): (f64, f64), buttons: u8) {
        let button = if kind == "mouseMoved" && buttons == 0 { "none" } else { "left" };
        let what = json!({
            "type": kind, "x": x, "y": y, "button": button, "buttons": buttons, "clickCount": 1,
        });
        self.ask("Input.dispatchMouseEvent", &what);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
