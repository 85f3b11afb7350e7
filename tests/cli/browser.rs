//! Headless Chromium, spoken to over a pipe with the DevTools protocol: a page is opened, typed into and
//! clicked, and looked at.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

/// Names of the program, as systems have them.
const NAMES: [&str; 5] =
    ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome"];
/// The most messages that are read until one is an answer.
const MESSAGES_MAX: usize = 10_000;

/// A page in a browser of its own, which ends with it.
pub(super) struct Browser {
    child: Child,
    requests: ChildStdin,
    messages: BufReader<ChildStdout>,
    session: Option<String>,
    last: u64,
    /// What the page complained of.
    pub(super) complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

/// A picture of the page: rows of `width` pixels of red, green and blue.
pub(super) struct Screenshot {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) pixels: Vec<[u8; 3]>,
}

impl Browser {
    /// Returns where the browser is: where `SIMILE_CHROMIUM` says, or on the path.
    pub(super) fn find() -> Option<PathBuf> {
        if let Some(named) = std::env::var_os("SIMILE_CHROMIUM") {
            return Some(named.into());
        }
        let folders = std::env::var_os("PATH")?;
        let folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
        let places = NAMES.iter().flat_map(|name| folders.iter().map(move |one| one.join(name)));
        places.into_iter().find(|file| file.is_file())
    }

    /// Opens a file in a window of this size.
    pub(super) fn open(program: &Path, file: &Path, width: u32, height: u32) -> Self {
        let profile = tempfile::tempdir().unwrap();
        // The protocol is spoken over the descriptors 3 and 4, which a shell can give.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 0</dev/null 1>&2"])
            .arg(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--disable-extensions", "--hide-scrollbars"])
            .args(["--force-device-scale-factor=1", "--remote-debugging-pipe"])
            .arg(format!("--window-size={width},{height}"))
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (requests, messages) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut browser = Self {
            child,
            requests,
            messages: BufReader::new(messages),
            session: None,
            last: 0,
            complaints: Vec::new(),
            _profile: profile,
        };
        let target = browser.ask("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.ask("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.ask(domain, json!({}));
        }
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false
        });
        browser.ask("Emulation.setDeviceMetricsOverride", size);
        browser.ask("Page.navigate", json!({ "url": format!("file://{}", file.display()) }));
        browser.wait("document.readyState === 'complete'");
        browser
    }

    /// Returns what an expression is in the page.
    pub(super) fn value(&mut self, expression: &str) -> Json {
        let asked =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.ask("Runtime.evaluate", asked);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression holds, a frame at a time.
    pub(super) fn wait(&mut self, expression: &str) {
        let frame = "new Promise((done) => setTimeout(() => done(true), 20))";
        for _ in 0..500 {
            if self.value(expression) == true {
                return;
            }
            self.value(frame);
        }
        panic!("never so: {expression}");
    }

    /// Presses a key, as a keyboard does it.
    pub(super) fn press(&mut self, key: &str) {
        let text = if key.chars().count() == 1 { key } else { "" };
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "ArrowUp" => 38,
            "ArrowDown" => 40,
            _ => 0,
        };
        for kind in ["keyDown", "keyUp"] {
            let event = json!({
                "type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code,
            });
            self.ask("Input.dispatchKeyEvent", event);
        }
    }

    /// Types a text, letter by letter.
    pub(super) fn type_text(&mut self, text: &str) {
        for letter in text.chars() {
            self.press(letter.encode_utf8(&mut [0; 4]));
        }
    }

    /// Moves the mouse to the middle of what a selector finds first, and clicks.
    pub(super) fn click(&mut self, selector: &str) {
        let selector = json!(selector);
        let middle = self.value(&format!(
            "(() => {{ const node = document.querySelector({selector}); \
             node.scrollIntoView({{ block: 'center' }}); const box = node.getBoundingClientRect(); \
             return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        ));
        self.click_at(middle[0].as_f64().unwrap(), middle[1].as_f64().unwrap());
    }

    /// Moves the mouse there, and clicks.
    pub(super) fn click_at(&mut self, x: f64, y: f64) {
        self.move_to(x, y);
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.ask("Input.dispatchMouseEvent", event);
        }
    }

    /// Moves the mouse there.
    pub(super) fn move_to(&mut self, x: f64, y: f64) {
        let event = json!({ "type": "mouseMoved", "x": x, "y": y });
        self.ask("Input.dispatchMouseEvent", event);
    }

    /// Looks at the page; where `SIMILE_SCREENSHOTS` names a folder, the picture is kept there.
    pub(super) fn screenshot(&mut self, name: &str) -> Screenshot {
        let answer = self.ask("Page.captureScreenshot", json!({ "format": "png" }));
        let png = STANDARD.decode(answer["data"].as_str().unwrap()).unwrap();
        if let Some(folder) = std::env::var_os("SIMILE_SCREENSHOTS") {
            fs_err::write(Path::new(&folder).join(format!("{name}.png")), &png).unwrap();
        }
        let picture = simile::decode::decode_picture(&png, &simile::decode::Limits::default());
        let picture = picture.unwrap();
        let pixels = picture.samples().chunks_exact(3).map(|one| [one[0], one[1], one[2]]);
        Screenshot { width: picture.width(), height: picture.height(), pixels: pixels.collect() }
    }

    fn ask(&mut self, method: &str, parameters: Json) -> Json {
        self.last += 1;
        let mut request = json!({ "id": self.last, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            request["sessionId"] = json!(session);
        }
        self.requests.write_all(request.to_string().as_bytes()).unwrap();
        self.requests.write_all(b"\0").unwrap();
        self.requests.flush().unwrap();
        for _ in 0..MESSAGES_MAX {
            let mut message = Vec::new();
            self.messages.read_until(0, &mut message).unwrap();
            assert_eq!(message.pop(), Some(0), "the browser ended at {method}");
            let mut message: Json = serde_json::from_slice(&message).unwrap();
            if message["id"] == self.last {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].take();
            }
            let event = message["method"].as_str().unwrap_or_default();
            if matches!(event, "Runtime.exceptionThrown" | "Log.entryAdded") {
                self.complaints.push(message["params"].to_string());
            }
        }
        panic!("no answer to {method}");
    }
}

impl Screenshot {
    /// Returns the mean brightness, 0 to 255.
    pub(super) fn brightness(&self) -> f64 {
        let sum: u64 = self.pixels.iter().flatten().map(|&sample| u64::from(sample)).sum();
        sum as f64 / (self.pixels.len() * 3) as f64
    }

    /// Returns the share of pixels of a rectangle that have a colour, and are not grey.
    pub(super) fn coloured(&self, left: u32, top: u32, width: u32, height: u32) -> f64 {
        let rows = top..(top + height).min(self.height);
        let columns = left..(left + width).min(self.width);
        let (mut coloured, mut all) = (0_u32, 0_u32);
        for row in rows {
            for column in columns.clone() {
                let pixel = self.pixels[(row * self.width + column) as usize];
                let (least, most) = (pixel.iter().min().unwrap(), pixel.iter().max().unwrap());
                coloured += u32::from(most - least > 40);
                all += 1;
            }
        }
        f64::from(coloured) / f64::from(all.max(1))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
