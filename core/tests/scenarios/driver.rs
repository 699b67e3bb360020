//! The line protocol, from both ends: a program that plays devices, and who talks to it.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    format::{Action, Object},
    interpreter::{Fault, Interpreter, Outcome},
};

/// Set for every driver, so that a program can tell that it is one.
pub(crate) const IS_DRIVER: &str = "INTEROCITOR_IS_DRIVER";

/// How long a program may take for one step.
const PATIENCE: Duration = Duration::from_mins(1);

/// Plays what comes in, a line a step, until there is no more.
pub(crate) async fn serve(input: impl BufRead, mut output: impl Write) -> Result<(), String> {
    let mut interpreter = Interpreter::default();
    for line in input.lines() {
        let line = line.map_err(|error| error.to_string())?;
        let answer = match answer(&mut interpreter, &line).await {
            Ok(ok) => json!({ "ok": ok }),
            Err(Fault { code, reason }) => json!({ "error": code, "reason": reason }),
        };
        writeln!(output, "{answer}").and_then(|()| output.flush()).map_err(|error| error.to_string())?;
    }
    interpreter.end().await.map_err(|fault| fault.reason)
}

async fn answer(interpreter: &mut Interpreter, line: &str) -> Outcome {
    let mut step: Object = serde_json::from_str(line).map_err(Fault::driver)?;
    let Some(Value::String(device)) = step.remove("device") else {
        return Err(Fault::driver("the step has no device"));
    };
    let action: Action = serde_json::from_value(Value::Object(step)).map_err(Fault::driver)?;
    interpreter.play(&device, action).await
}

/// A running driver.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: String,
    child: Child,
    /// Closed at the end.
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Program {
    /// Starts the driver of a language; the first word of `command` is the program.
    pub(crate) fn start(name: &str, command: &[String]) -> Result<Self, String> {
        let (program, arguments) = command.split_first().ok_or(format!("driver {name} has no command"))?;
        let mut child = Command::new(program)
            .args(arguments)
            .env(IS_DRIVER, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("driver {name}: {program}: {error}"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(format!("driver {name} has no pipes"));
        };
        // Read on a thread of its own, so that a silent driver can be given up.
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Runtimes and test harnesses like to greet: such lines are none of the protocol.
                if line.starts_with('{') && sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { name: name.to_owned(), child, input: Some(input), lines })
    }

    /// Plays one step there.
    pub(crate) fn play(&mut self, device: &str, mut step: Object) -> Outcome {
        step.insert("device".into(), device.into());
        let line = Value::Object(step).to_string();
        let fault =
            |what: &dyn std::fmt::Display| Fault::driver(format_args!("driver {}: {what}", self.name));
        let input = self.input.as_mut().ok_or_else(|| fault(&"it has ended"))?;
        writeln!(input, "{line}").and_then(|()| input.flush()).map_err(|error| fault(&error))?;
        let answer = self.lines.recv_timeout(PATIENCE).map_err(|_| fault(&"no answer"))?;
        let mut answer: Object =
            serde_json::from_str(&answer).map_err(|error| fault(&format!("{error}: {answer}")))?;
        match (answer.remove("ok"), answer.remove("error"), answer.remove("reason")) {
            (Some(ok), None, None) if answer.is_empty() => Ok(ok),
            (None, Some(Value::String(code)), Some(Value::String(reason))) if answer.is_empty() => {
                Err(Fault { code, reason })
            }
            _ => Err(fault(&"its answer is neither {\"ok\"} nor {\"error\",\"reason\"}")),
        }
    }

    /// Lets the driver end, which must go well.
    pub(crate) fn end(mut self) -> Result<(), String> {
        drop(self.input.take());
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("driver {} ended with {status}", self.name)),
                Ok(None) => std::thread::sleep(Duration::from_millis(2)),
                Err(error) => return Err(format!("driver {}: {error}", self.name)),
            }
        }
        Err(format!("driver {} does not end when its input does", self.name))
    }
}

impl Drop for Program {
    /// After a failure nobody waits for the rest. A program that has ended is not harmed.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
