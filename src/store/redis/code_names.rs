//! The names of codes on Redis, and the step of migration that gives codes of stores before version 1 their names.
//!
//! While programs before version 1 may run, codes are written in clear, as those read them. After that, each operation
//! first gives the codes that it is about their new names (*lifts* them), so that the scripts know one form only, and
//! the step lifts all others. In a store of version 1 neither costs a command.

use ::redis::{cmd, pipe};
use futures_util::future::try_join_all;

use super::{LazyScript, Redis, keys, script};
use crate::core::model::ids::{Code, DeviceKey, DomainName};
use crate::core::model::users_role::RequestId;
use crate::store::code_name::{CodeName, CodePlace, CodeUse, StoredCode, seal_code};
use crate::store::record::{from_json, to_json};
use crate::store::rollout_row::{StoredRow, row_place};
use crate::store::schema::{Form, Page, Step};
use crate::store::users_role::RequestOrigin;
use crate::store::{Result, StoreError};

static LIFT_CODE: LazyScript = script!("lift_code");
static LIFT_DEVICE: LazyScript = script!("lift_device");
static LIFT_KEY: LazyScript = script!("lift_key");
static LIFT_MEMBERS: LazyScript = script!("lift_members");
static LIFT_REQUEST: LazyScript = script!("lift_request");
static LIFT_ROWS: LazyScript = script!("lift_rows");
static LIFT_TIMELINE: LazyScript = script!("lift_timeline");

/// Codes that are lifted at the same time.
const CONCURRENT: usize = 64;

/// Members of an index, or rows of a roll-out, that are read together.
const PAGE: usize = 500;

impl Redis {
    /// How codes are read and written now.
    pub(super) fn form(&self) -> Form {
        self.sealer.stage().form(Step::Codes)
    }

    fn hashed(&self, of: CodeUse, code: Code) -> CodeName {
        CodeName::hashed(&self.sealer, of, code)
    }

    /// The name that a new code gets.
    pub(super) fn new_name(&self, of: CodeUse, code: Code) -> CodeName {
        if self.form() == Form::Old { CodeName::clear(code) } else { self.hashed(of, code) }
    }

    /// The code as part of the record at `place` that is written now.
    pub(super) fn new_stored(&self, place: &str, code: Code) -> StoredCode {
        if self.form() == Form::Old { StoredCode::clear(code) } else { StoredCode::sealed(&self.sealer, place, code) }
    }

    /// The sealed code for a record that is written now; nothing if its name is the code.
    pub(super) fn new_sealed(&self, domain: &DomainName, name: &CodeName, code: Code) -> Vec<u8> {
        if name.in_clear().is_some() { Vec::new() } else { seal_code(&self.sealer, domain, name, code) }
    }

    /// The name of a code in the records of Devices.
    pub(super) async fn code_name(&self, domain: &DomainName, code: Code) -> Result<CodeName> {
        let names = self.code_names(domain, &[code]).await?;
        Ok(names.into_iter().next().unwrap_or_else(|| self.hashed(CodeUse::Record, code)))
    }

    /// The names of codes in the records of Devices, in their order.
    pub(super) async fn code_names(&self, domain: &DomainName, codes: &[Code]) -> Result<Vec<CodeName>> {
        let hashed: Vec<_> = codes.iter().map(|code| self.hashed(CodeUse::Record, *code)).collect();
        match self.form() {
            Form::New => Ok(hashed),
            Form::Both => {
                self.lift_codes(domain, codes).await?;
                Ok(hashed)
            }
            Form::Old => self.as_it_is(codes, hashed, |name| keys::code(domain, name)).await,
        }
    }

    /// Both names of each code by which a record may be found, the present one first.
    pub(super) fn possible_names(&self, codes: &[Code]) -> Vec<CodeName> {
        let mut names: Vec<_> = codes.iter().map(|code| self.hashed(CodeUse::Record, *code)).collect();
        if self.form() != Form::New {
            names.extend(codes.iter().map(|code| CodeName::clear(*code)));
        }
        names
    }

    /// Of each code the hash if a node that is ahead has lifted it, else the code itself.
    async fn as_it_is(
        &self,
        codes: &[Code],
        hashed: Vec<CodeName>,
        place: impl Fn(&CodeName) -> String,
    ) -> Result<Vec<CodeName>> {
        if codes.is_empty() {
            return Ok(hashed);
        }
        let mut look = pipe();
        for name in &hashed {
            look.exists(place(name));
        }
        let lifted: Vec<bool> = self.client.ask_all(&look).await?;
        let names = codes.iter().zip(hashed).zip(lifted);
        Ok(names.map(|((code, name), lifted)| if lifted { name } else { CodeName::clear(*code) }).collect())
    }

    /// Names as they were read from an index, lifted if they are codes and codes are lifted now.
    pub(super) async fn lifted(&self, domain: &DomainName, names: Vec<CodeName>) -> Result<Vec<CodeName>> {
        let clear: Vec<Code> = names.iter().filter_map(CodeName::in_clear).collect();
        if clear.is_empty() || self.form() == Form::Old {
            return Ok(names);
        }
        self.lift_codes(domain, &clear).await?;
        Ok(names.into_iter().map(|name| name.in_clear().map_or(name, |c| self.hashed(CodeUse::Record, c))).collect())
    }

    /// The name in a field of a device, whose code is lifted if codes are lifted now.
    pub(super) async fn lifted_of(
        &self,
        domain: &DomainName,
        key: &DeviceKey,
        name: Option<CodeName>,
    ) -> Result<Option<CodeName>> {
        let Some(code) = name.as_ref().and_then(CodeName::in_clear).filter(|_| self.form() != Form::Old) else {
            return Ok(name);
        };
        self.lift_codes(domain, &[code]).await?;
        self.lift_device(domain, key, code).await?;
        Ok(Some(self.hashed(CodeUse::Record, code)))
    }

    /// The name of a code in the key of its timeline.
    pub(super) async fn timeline_name(&self, domain: &DomainName, code: Code) -> Result<CodeName> {
        let name = self.hashed(CodeUse::Timeline, code);
        match self.form() {
            Form::New => Ok(name),
            Form::Both => {
                self.lift_timelines(domain, &[code]).await?;
                Ok(name)
            }
            Form::Old => {
                let names = self.as_it_is(&[code], vec![name], |name| keys::code_timeline(domain, name)).await?;
                Ok(names.into_iter().next().unwrap_or_else(|| CodeName::clear(code)))
            }
        }
    }

    /// The name of a code among the phone requests of the Users role.
    pub(super) async fn request_name(&self, domain: &DomainName, code: Code) -> Result<CodeName> {
        let name = self.hashed(CodeUse::Request, code);
        match self.form() {
            Form::New => Ok(name),
            Form::Both => {
                let old = keys::people_code(domain, &CodeName::clear(code));
                let id: Option<String> = self.client.ask(cmd("GET").arg(old)).await?;
                if let Some(id) = id.and_then(|id| RequestId::parse(&id).ok()) {
                    self.lift_request(domain, &id).await?;
                }
                Ok(name)
            }
            Form::Old => {
                let names = self.as_it_is(&[code], vec![name], |name| keys::people_code(domain, name)).await?;
                Ok(names.into_iter().next().unwrap_or_else(|| CodeName::clear(code)))
            }
        }
    }

    async fn lift_codes(&self, domain: &DomainName, codes: &[Code]) -> Result<u64> {
        let mut changed = 0;
        for some in codes.chunks(CONCURRENT) {
            let lifts = try_join_all(some.iter().map(|code| self.lift_code(domain, *code))).await?;
            changed += lifts.iter().sum::<u64>();
        }
        Ok(changed)
    }

    async fn lift_code(&self, domain: &DomainName, code: Code) -> Result<u64> {
        let (old, new) = (CodeName::clear(code), self.hashed(CodeUse::Record, code));
        let mut script = LIFT_CODE.arg(code.expose());
        script.arg(new.as_str()).arg(seal_code(&self.sealer, domain, &new, code));
        for name in [&old, &new] {
            script.key(keys::code(domain, name)).key(keys::window(domain, name));
            script.key(keys::mail(domain, name)).key(keys::lease(domain, name));
        }
        for kind in keys::KINDS {
            script.key(keys::open(domain, kind));
        }
        script.key(keys::codes(domain)).key(keys::mailbox(domain));
        self.client.eval(&script).await
    }

    async fn lift_timelines(&self, domain: &DomainName, codes: &[Code]) -> Result<u64> {
        let Some((first, rest)) = codes.split_first() else { return Ok(0) };
        let key = |name: CodeName| keys::code_timeline(domain, &name);
        let mut script = LIFT_TIMELINE.key(key(CodeName::clear(*first)));
        script.key(key(self.hashed(CodeUse::Timeline, *first)));
        for code in rest {
            script.key(key(CodeName::clear(*code))).key(key(self.hashed(CodeUse::Timeline, *code)));
        }
        self.client.eval(&script).await
    }

    async fn lift_device(&self, domain: &DomainName, key: &DeviceKey, code: Code) -> Result<u64> {
        let name = self.hashed(CodeUse::Record, code);
        let mut script = LIFT_DEVICE.key(keys::device(domain, key));
        script.arg(code.expose()).arg(name.as_str()).arg(seal_code(&self.sealer, domain, &name, code));
        self.client.eval(&script).await
    }

    async fn lift_request(&self, domain: &DomainName, id: &RequestId) -> Result<u64> {
        let place = keys::phone_request(domain, id);
        let before: Option<String> = self.client.ask(cmd("HGET").arg(&place).arg("about")).await?;
        let Some(before) = before else { return Ok(0) };
        let mut about: RequestOrigin = from_json(&format!("pb:{{{domain}}}:people:request:…"), before.as_bytes())?;
        let Some(code) = about.code.in_clear() else { return Ok(0) };
        about.code = StoredCode::sealed(&self.sealer, &place, code);
        let name = self.hashed(CodeUse::Request, code);
        let mut script = LIFT_REQUEST.key(&place);
        script.key(keys::people_code(domain, &CodeName::clear(code))).key(keys::people_code(domain, &name));
        script.key(keys::people_open(domain)).key(keys::people_open_of(domain, &about.person));
        script.arg(before).arg(to_json(&about)).arg(code.expose()).arg(name.as_str());
        self.client.eval(&script).await
    }

    async fn lift_rows(&self, domain: &DomainName, place: &str) -> Result<u64> {
        let mut changed = 0;
        let mut from = 0;
        loop {
            let read = cmd("LRANGE").arg(place).arg(from).arg(from + PAGE - 1).take();
            let rows: Vec<String> = self.client.timed(self.client.ask(&read)).await?;
            let mut script = LIFT_ROWS.key(place);
            let mut any = false;
            for (number, before) in (from as u64..).zip(&rows) {
                let mut row: StoredRow = from_json(&format!("pb:{{{domain}}}:rows:…"), before.as_bytes())?;
                if let Some(code) = row.code.in_clear() {
                    row.code = StoredCode::sealed(&self.sealer, &row_place(place, number), code);
                    script.arg(number).arg(before).arg(to_json(&row));
                    any = true;
                }
            }
            if any {
                changed += self.client.timed(self.client.eval::<u64>(&script)).await?;
            }
            if rows.len() < PAGE {
                return Ok(changed);
            }
            from += PAGE;
        }
    }

    /// Lifts the members of an index that are codes.
    async fn lift_index(&self, domain: &DomainName, index: &str, of: CodeUse) -> Result<u64> {
        let (mut changed, mut cursor) = (0, 0_u64);
        loop {
            let scan = cmd("ZSCAN").arg(index).arg(cursor).arg("COUNT").arg(PAGE).take();
            let (next, found): (u64, Vec<(String, f64)>) = self.client.timed(self.client.ask(&scan)).await?;
            let clear: Vec<Code> = found.iter().filter_map(|(member, _)| Code::parse(member).ok()).collect();
            for some in clear.chunks(CONCURRENT) {
                // What the members lead to goes first: whoever reads a new name finds it.
                if of == CodeUse::Record {
                    changed += self.client.timed(self.lift_codes(domain, some)).await?;
                } else {
                    let lifts = some.iter().map(|code| self.lift_request_code(domain, *code));
                    changed += try_join_all(lifts).await?.iter().sum::<u64>();
                }
                let mut script = LIFT_MEMBERS.key(index);
                for code in some {
                    script.arg(code.expose()).arg(self.hashed(of, *code).as_str());
                }
                changed += self.client.timed(self.client.eval::<u64>(&script)).await?;
            }
            cursor = next;
            if cursor == 0 {
                return Ok(changed);
            }
        }
    }

    /// The key that leads from a code to its domain is in no slot of the domain, so it is copied, with its end, before
    /// the old one is deleted.
    async fn lift_pointer(&self, code: Code) -> Result<u64> {
        let old = keys::pointer(&CodeName::clear(code));
        let new = keys::pointer(&self.hashed(CodeUse::Record, code));
        let mut read = pipe();
        read.get(&old).cmd("PEXPIRETIME").arg(&old);
        let (domain, ends): (Option<String>, i64) = self.client.ask_all(&read).await?;
        let Some(domain) = domain else { return Ok(0) };
        let mut set = cmd("SET");
        set.arg(&new).arg(domain).arg("NX");
        if ends > 0 {
            set.arg("PXAT").arg(ends);
        }
        let _: Option<String> = self.client.ask(&set).await?;
        self.client.ask(cmd("DEL").arg(&old)).await
    }

    /// A page of the step: the keys of one page of SCAN, with everything in them.
    pub(super) async fn lift_page(&self, cursor: &str, size: usize) -> Result<Page> {
        let from: u64 = cursor.parse().unwrap_or(0);
        let scan = cmd("SCAN").arg(from).arg("MATCH").arg(format!("{}*", keys::PREFIX)).arg("COUNT").arg(size).take();
        let (next, found): (u64, Vec<String>) = self.client.timed(self.client.ask(&scan)).await?;
        let mut changed = 0;
        for some in found.chunks(CONCURRENT) {
            let lifts = some.iter().map(|key| async move {
                let Some(place) = key.strip_prefix(keys::PREFIX).and_then(CodePlace::of) else { return Ok(0) };
                match self.lift(key, place).await {
                    // It can be read in neither form.
                    Err(StoreError::Corrupt { key, why }) => {
                        tracing::warn!(%key, %why, "migration of the store: a record is left as it is");
                        Ok(0)
                    }
                    lifted => lifted,
                }
            });
            changed += try_join_all(lifts).await?.iter().sum::<u64>();
        }
        Ok(Page { next: (next != 0).then(|| next.to_string()), changed })
    }

    async fn lift(&self, key: &str, place: CodePlace) -> Result<u64> {
        match place {
            CodePlace::Pointer(code) => self.client.timed(self.lift_pointer(code)).await,
            CodePlace::Code(domain, code) => self.client.timed(self.lift_code(&domain, code)).await,
            CodePlace::Timeline(domain, code) => self.client.timed(self.lift_timelines(&domain, &[code])).await,
            CodePlace::Index(domain, of) => self.lift_index(&domain, key, of).await,
            CodePlace::Device(domain, device) => {
                let read = cmd("HMGET").arg(key).arg(&["entry_code", "pending"]).take();
                let (entry, pending): (Option<String>, Option<String>) =
                    self.client.timed(self.client.ask(&read)).await?;
                let mut changed = 0;
                // They are the same code, if there are both.
                for code in [entry, pending].into_iter().flatten().filter_map(|text| Code::parse(&text).ok()) {
                    // The code first: its record is looked for under the name that the device has.
                    changed += self.client.timed(self.lift_codes(&domain, &[code])).await?;
                    changed += self.client.timed(self.lift_device(&domain, &device, code)).await?;
                }
                Ok(changed)
            }
            CodePlace::RequestCode(domain, code) => self.lift_request_code(&domain, code).await,
            CodePlace::Request(domain, id) => self.client.timed(self.lift_request(&domain, &id)).await,
            CodePlace::Rows(domain) => self.lift_rows(&domain, key).await,
        }
    }

    async fn lift_request_code(&self, domain: &DomainName, code: Code) -> Result<u64> {
        let key = &keys::people_code(domain, &CodeName::clear(code));
        let id: Option<String> = self.client.timed(self.client.ask(cmd("GET").arg(key))).await?;
        if let Some(id) = id.and_then(|id| RequestId::parse(&id).ok())
            && self.client.timed(self.lift_request(domain, &id)).await? > 0
        {
            return Ok(1);
        }
        // Its request is gone, or was lifted before.
        let mut script = LIFT_KEY.key(key);
        script.key(keys::people_code(domain, &self.hashed(CodeUse::Request, code)));
        self.client.timed(self.client.eval(&script)).await
    }
}
