//! What callers ask becomes events of the core.

use replog_host::bus::Bus;
use replog_shared::store::Store;
use tracing::warn;

use super::{Node, handle::Command};

impl<S: Store, B: Bus> Node<S, B> {
    pub(super) fn on_command(&mut self, command: Command) {
        // Who asked may have gone; then nobody wants to know.
        match command {
            Command::Health { answer } => {
                let _nobody_asks_any_more = answer.send(self.health());
            }
            Command::Figures { answer } => {
                let _nobody_asks_any_more = answer.send(self.figures());
            }
            Command::Faults { answer } => {
                let _nobody_asks_any_more = answer.send(self.driver.core().faults());
            }
            Command::SetFaults { faults, answer } => {
                warn!(?faults, "faults are injected as asked");
                self.driver.core_mut().set_faults(self.env.now(), faults);
                let _nobody_asks_any_more = answer.send(());
            }
        }
    }
}
