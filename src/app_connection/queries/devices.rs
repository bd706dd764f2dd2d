//! Requests about devices and domains (`docs/protocol/devices-api.md` sections 3 and 4).

use std::collections::HashMap;
use std::net::IpAddr;
use std::result::Result;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::core::model::accounts::{Actor, KnownBy};
use crate::core::model::device::Domain;
use crate::core::model::device_view::{DeviceView, DomainView};
use crate::core::model::ids::{DeviceKey, DomainId, DomainName};
use crate::core::protocol::appws::message::ApiError;
use crate::core::protocol::appws::search::{Hits, Search};
use crate::core::protocol::appws::select::{Selection, Within};
use crate::core::session::app::device_pager::{DevicePager, LaneRead, LaneResult};
use crate::core::session::app::event::Answer;
use crate::core::session::app::rights::Rights;
use crate::random;
use crate::store;

use super::AppQueries;

/// Devices in one answer at most.
const PAGE: usize = 1000;

/// Concurrent reads of the store for one question.
const AT_ONCE: usize = 32;

/// The domain whose rights count; `None`: those of an administrator.
fn from(rights: &Rights) -> Option<&DomainName> {
    (!rights.admin).then_some(&rights.domain)
}

impl AppQueries {
    /// A device within the rights, and its domain. A device outside them counts as one that does not exist.
    pub async fn reachable_device(
        &self,
        rights: &Rights,
        key: &DeviceKey,
    ) -> Result<(Arc<Domain>, DeviceView), ApiError> {
        self.find_device(rights, key).await?.ok_or(ApiError::NotFound)
    }

    async fn find_device(&self, rights: &Rights, key: &DeviceKey) -> store::Result<Option<(Arc<Domain>, DeviceView)>> {
        let Some(device) = self.store.find_device(key).await? else { return Ok(None) };
        if !self.tenants.reach(from(rights), &device.domain).await? {
            return Ok(None);
        }
        let Some(domain) = self.tenants.find(&device.domain).await? else { return Ok(None) };
        let online = self.store.whereabouts(&domain.name, key).await?.is_some();
        let view = DeviceView::member(device, &domain, online);
        Ok(Some((domain, view)))
    }

    /// One device.
    pub async fn device(&self, rights: &Rights, key: &DeviceKey) -> Result<Answer, ApiError> {
        let (_, view) = self.reachable_device(rights, key).await?;
        Ok(Answer::Named(Box::new(view)))
    }

    /// The analogue ports of a device.
    pub async fn ports(&self, rights: &Rights, key: &DeviceKey) -> Result<Answer, ApiError> {
        let (domain, _) = self.reachable_device(rights, key).await?;
        self.store.ports(&domain.name, key).await?.map(Answer::Ports).ok_or(ApiError::NotFound)
    }

    /// Forgets an analogue port.
    pub async fn remove_port(
        &self,
        rights: &Rights,
        from: Option<IpAddr>,
        key: &DeviceKey,
        port: &str,
    ) -> Result<Answer, ApiError> {
        let (domain, _) = self.reachable_device(rights, key).await?;
        if !self.store.remove_port(&domain.name, key, port).await? {
            return Err(ApiError::NotFound);
        }
        let actor = Actor { by: KnownBy::App, who: rights.requester.app.clone(), instance: rights.admin, from };
        let action = actor.action("port.remove", &format!("{key} {port}"), Some(&domain.name));
        if let Err(error) = self.store.append_audit(&random::guid(), &action).await {
            tracing::warn!(%error, who = %action.who, what = %action.what, to = %action.to, "audit entry not stored");
        }
        Ok(Answer::Done)
    }

    /// The domains within the rights.
    pub fn domains(&self, rights: &Rights, instance: &DomainName) -> Answer {
        Answer::Domains(self.domain_views(rights, instance))
    }

    fn domain_views(&self, rights: &Rights, instance: &DomainName) -> Vec<DomainView> {
        let mut given_to: HashMap<DomainName, Vec<DomainId>> = HashMap::new();
        for domain in self.tenants.all() {
            for giver in &domain.access_to {
                given_to.entry(giver.clone()).or_default().push(domain.id);
            }
        }
        let reachable = self.tenants.reachable(from(rights));
        let view = |domain: &Arc<Domain>| {
            let given_to = given_to.get(&domain.name).map_or(&[][..], Vec::as_slice);
            DomainView::new(domain, instance.as_str(), given_to)
        };
        reachable.iter().map(view).collect()
    }

    /// How many devices have no domain; 0 for anybody but an administrator.
    pub async fn unassigned_count(&self, rights: &Rights) -> Result<Answer, ApiError> {
        Ok(Answer::Unassigned(if rights.admin { self.store.unassigned_count().await? } else { 0 }))
    }

    /// The domains that a selection can take devices of, as far as they are within the rights.
    pub fn domains_of(&self, rights: &Rights, selection: &Selection) -> Vec<DomainName> {
        if !selection.members {
            return Vec::new();
        }
        let wanted = |domain: &Arc<Domain>| selection.domains.as_ref().is_none_or(|ids| ids.contains(&domain.id));
        self.tenants.reachable(from(rights)).iter().filter(|d| wanted(d)).map(|d| d.name.clone()).collect()
    }

    /// The selection with the names of categories within the rights.
    fn with_names(&self, rights: &Rights, selection: &Arc<Selection>) -> Arc<Selection> {
        let reachable = self.tenants.reachable(from(rights));
        selection.with_names(|name| reachable.iter().any(|domain| domain.category(name).is_some()))
    }

    /// The first page of a list.
    pub async fn first_page(&self, rights: &Rights, selection: Arc<Selection>) -> Result<Answer, ApiError> {
        let mut selection = self.with_names(rights, &selection);
        if let Within::Domain(id) = selection.within {
            let domain = self.domain(rights, id).await?;
            selection = Arc::new(Selection { domains: Some(vec![domain.id]), ..Selection::clone(&selection) });
        }
        if let Some(keys) = &selection.named {
            let found = self.find_devices(rights, keys).await?;
            let views = found.into_iter().filter_map(|(_, view)| view);
            let mut devices: Vec<_> = views.filter(|view| selection.takes(view)).collect();
            devices.sort_by_key(|view| view.id);
            return Ok(Answer::Page { devices, rest: None });
        }
        let mut lanes: Vec<_> = self.domains_of(rights, &selection).into_iter().map(Some).collect();
        if selection.unassigned && rights.admin {
            lanes.push(None);
        }
        self.next_page(Box::new(DevicePager::new(selection, lanes))).await
    }

    /// The next page of a list.
    pub async fn next_page(&self, mut walk: Box<DevicePager>) -> Result<Answer, ApiError> {
        let mut devices = Vec::new();
        while !walk.is_over() && devices.len() < PAGE {
            let readings = stream::iter(walk.readings()).map(|reading| self.read(reading)).buffered(AT_ONCE);
            let reads = readings.try_collect().await?;
            walk.read(reads);
            devices.extend(walk.take(PAGE - devices.len()));
        }
        let rest = (!walk.is_over()).then_some(walk);
        Ok(Answer::Page { devices, rest })
    }

    async fn read(&self, LaneRead { domain, after, limit }: LaneRead) -> store::Result<LaneResult> {
        let devices: Vec<_> = match domain {
            None => {
                let read = self.store.unassigned_devices(after, limit).await?;
                read.into_iter()
                    .map(|listing| DeviceView::unassigned_device(listing.device, listing.at.is_some()))
                    .collect()
            }
            Some(name) => match self.tenants.find(&name).await? {
                None => Vec::new(),
                Some(domain) => {
                    let read = self.store.devices(&name, after, limit).await?;
                    let view = |l: store::DeviceListing| DeviceView::member(l.device, &domain, l.at.is_some());
                    read.into_iter().map(view).collect()
                }
            },
        };
        let to = devices.last().filter(|_| devices.len() == limit).map(|view| view.id);
        Ok(LaneResult { devices, to })
    }

    /// The best hits of a search.
    pub async fn search(&self, rights: &Rights, search: Search, instance: &DomainName) -> Result<Answer, ApiError> {
        let (wants_devices, wants_domains) = (search.wants_devices(), search.wants_domains());
        let mut hits = Hits::new(search);
        if wants_domains {
            self.domain_views(rights, instance).iter().for_each(|view| hits.domain(view));
        }
        let all = Arc::new(Selection { unassigned: true, ..Selection::default() });
        let mut page = if wants_devices { Some(self.first_page(rights, all).await?) } else { None };
        while let Some(Answer::Page { devices, rest }) = page {
            for view in devices.iter() {
                hits.device(view);
            }
            page = match rest {
                Some(rest) => Some(self.next_page(rest).await?),
                None => None,
            };
        }
        Ok(Answer::Hits(hits))
    }

    /// Devices as they are now, as far as the selection takes them.
    pub async fn current_devices(
        &self,
        rights: &Rights,
        keys: Vec<DeviceKey>,
        selection: &Arc<Selection>,
    ) -> Result<Answer, ApiError> {
        let selection = self.with_names(rights, selection);
        let mut found = self.find_devices(rights, &keys).await?;
        if selection.unassigned && rights.admin {
            for (key, view) in found.iter_mut().filter(|(_, view)| view.is_none()) {
                let listing = self.store.unassigned_device(key).await?;
                *view = listing.map(|listing| DeviceView::unassigned_device(listing.device, listing.at.is_some()));
            }
        }
        for (_, view) in &mut found {
            *view = view.take().filter(|view| selection.takes(view));
        }
        Ok(Answer::Looked(found))
    }

    async fn find_devices(
        &self,
        rights: &Rights,
        keys: &[DeviceKey],
    ) -> store::Result<Vec<(DeviceKey, Option<DeviceView>)>> {
        let find = |key: DeviceKey| async move {
            let found = self.find_device(rights, &key).await?;
            Ok((key, found.map(|(_, view)| view)))
        };
        stream::iter(keys.to_vec()).map(find).buffered(AT_ONCE).try_collect().await
    }
}
