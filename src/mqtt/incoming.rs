//! What arrives: commands, carried out and answered, or refused.

use super::command;
use super::link::{InMessage, OutMessage, Stuck};
use super::session::Session;
use super::told::LeftOut;
use crate::clock;
use crate::record::answer::Event;
use crate::store;

/// Answers that wait at most before further commands do.
const MOST_ANSWERS: usize = 16;
/// Of answers that wait or have no verdict yet, before further commands wait.
const MOST_ANSWER_BYTES: usize = 1 << 20;

/// Commands after which `status` may say something else.
const CHANGE_THE_QUEUE: [&str; 3] = ["submit", "cancel", "queue"];

impl Session<'_> {
    /// Carries out the commands that have come, for as long as answers can leave.
    pub(super) fn take_commands(&mut self) -> Result<(), Stuck> {
        while self.can_take_a_command()
            && let Some(message) = self.inbox.pop()
        {
            self.arrived(message)?;
        }
        Ok(())
    }

    pub(super) fn can_take_a_command(&self) -> bool {
        !self.inbox.is_empty()
            && self.answers.len() < MOST_ANSWERS
            && self.answer_bytes() < MOST_ANSWER_BYTES
            && self.link.keeps_up()
    }

    fn arrived(&mut self, message: InMessage) -> Result<(), Stuck> {
        if let Some(name) = self.setup.topics.command(&message.topic) {
            self.command(name, &message);
        }
        // Only now: a command that a crash cuts short has to arrive again.
        self.link.acknowledge(&message)
    }

    fn command(&mut self, name: &str, message: &InMessage) {
        if message.retained {
            // Clearing a retained command looks like one without content.
            if !message.payload.is_empty() {
                let text = format!(
                    "{} was sent retained and is not executed",
                    command::shown(name)
                );
                self.event("retained-command", text, command::id_in(&message.payload));
            }
            return;
        }
        if let Some(topic) = &message.response_topic
            && let Err(error) = self.setup.topics.check_response(topic)
        {
            let text = format!("{} is not executed: {error}", command::shown(name));
            self.event(
                "forbidden-response-topic",
                text,
                command::id_in(&message.payload),
            );
            return;
        }
        // A replay may ask for what is still to be marked. No other command writes for that,
        // since it may have come while an attempt is measured.
        if name == "replay" {
            self.mark(clock::now());
        }
        let outcome = command::execute(&*self.setup.handler, name, &message.payload);
        self.departures.look();
        if outcome.is_ok() && CHANGE_THE_QUEUE.contains(&name) {
            self.count_jobs();
        }
        match (&message.response_topic, &outcome) {
            (Some(topic), outcome) => self.answer(topic, message, command::answer(outcome)),
            (None, Err(refusal)) => {
                let mut text = refusal.message.clone();
                if let Some(field) = &refusal.field {
                    text = format!("{field}: {text}");
                }
                self.event(&refusal.code, text, command::id_in(&message.payload));
            }
            (None, Ok(_)) => {}
        }
    }

    fn answer(&mut self, topic: &str, command: &InMessage, payload: Vec<u8>) {
        let message = OutMessage {
            topic: topic.to_owned(),
            payload,
            correlation: command.correlation.clone(),
            ..OutMessage::default()
        };
        self.answers.push_back(message);
    }

    fn count_jobs(&self) {
        let counts = store::lock(&self.setup.store).counts();
        match counts {
            Ok(counts) => self.shared.lock().set_jobs(counts),
            Err(error) => tracing::error!(%error, "the queue can't be counted"),
        }
    }

    pub(super) fn event(&self, code: &str, message: String, id: Option<String>) {
        let event = Event {
            code: code.to_owned(),
            message,
            id,
        };
        let device = &self.setup.identity.device;
        if self.shared.lock().tell(device, &event) {
            tracing::warn!(code, id = event.id, "{}", event.message);
        }
    }

    /// Tells how many events were left out, once their minute is over.
    pub(super) fn tell_left_out(&self) {
        let over = self.shared.lock().told.take_over(clock::now());
        for LeftOut { code, events } in over {
            let message = format!("{events} more events \"{code}\" came within a minute");
            self.event("events-left-out", message, None);
        }
    }
}
