//! Queries besides orders: the list of users when there is no table, and the phone apps.

use super::{ExchangeClient, Grant, Owner};
use crate::core::model::time::Tick;
use crate::core::protocol::json::Object;
use crate::core::session::exchange::apps;
use crate::core::session::exchange::event::{Action, OrderTag, Report};
use crate::core::session::exchange::listing::NextPage;
use crate::core::session::exchange::message::failure;
use crate::core::session::exchange::mirror::State as Trust;
use crate::core::session::exchange::request::Request;
use crate::core::session::exchange::settings::LIST_AGAIN;

impl ExchangeClient {
    pub(super) fn listed(&mut self, answer: Option<&Object<'_>>, now: Tick, actions: &mut Vec<Action>) {
        let Some(listing) = &mut self.listing else { return };
        let turn = answer.filter(|answer| failure(answer).is_none()).map(|answer| listing.page(answer));
        match turn {
            Some(NextPage::Ask(name)) => return self.requests.ask(Request::Search(name), Owner::Listing, false),
            Some(NextPage::End(rows)) => {
                let seen = rows.iter().map(|row| row.guid.clone()).collect();
                for row in rows {
                    self.mirror.put(row);
                }
                for gone in self.mirror.sweep(&seen) {
                    self.registrations.forget(&gone);
                    actions.push(Action::Deleted(gone));
                }
                self.mirror.trust(Trust::Complete);
            }
            Some(NextPage::Loop) => actions.push(Action::Report(Report::ListLoops)),
            None => {}
        }
        self.listing = None;
        self.list_at = Some(now + LIST_AGAIN);
    }

    pub(super) fn phone_apps(&mut self, tag: OrderTag, now: Tick, actions: &mut Vec<Action>) {
        self.askers.push(tag);
        if !self.is_ready() || self.admin == Grant::No || self.apps.are_known(now) {
            self.answer_askers(actions);
        } else if self.admin == Grant::Yes {
            self.ask_for_apps();
        }
    }

    pub(super) fn ask_for_apps(&mut self) {
        if !std::mem::replace(&mut self.apps_asked, true) {
            self.requests.ask(Request::Apps, Owner::Apps, true);
        }
    }

    pub(super) fn answer_askers(&mut self, actions: &mut Vec<Action>) {
        let known = self.apps.phone_apps(&self.settings.phone_apps);
        // Without an answer only the configured names are known.
        let apps = if known.is_empty() { apps::unchecked(&self.settings.phone_apps) } else { known };
        actions.extend(self.askers.drain(..).map(|tag| Action::PhoneApps(tag, apps.clone())));
    }
}
