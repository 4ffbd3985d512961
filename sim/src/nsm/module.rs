//! The module itself: PCRs, their locks, and what each call answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use ciborium::Value;
use cloister_nsm::{AttestRequest, Description, Digest, Error as NsmError, Nsm, Pcr, Result as NsmResult, limits};

use super::chain::{Chain, Draft, Level};
use super::{Authority, Error, Simulated, document};

/// A Nitro Security Module in memory.
pub struct SimulatedNsm {
    authority: Authority,
    module_id: String,
    offset: Offset,
    renews: bool,
    state: Mutex<State>,
}

struct State {
    registers: Vec<Register>,
    chain: Chain,
}

#[derive(Clone, Copy)]
struct Register {
    value: [u8; limits::PCR_BYTES],
    locked: bool,
}

/// How far the module's clock is from the machine's.
#[derive(Clone)]
enum Offset {
    Ahead(Duration),
    Behind(Duration),
    /// As the file says at each reading, in seconds, negative when behind; not at all while there is no file.
    File(PathBuf),
}

impl SimulatedNsm {
    /// A module of a freshly booted enclave: PCRs 0 to 15 locked, the chain issued now.
    pub fn new(authority: &Authority, simulated: Simulated) -> Result<Self, Error> {
        Self::build(authority, simulated, Offset::Ahead(Duration::ZERO), &|_, _| {})
    }

    /// A module whose clock is ahead of the machine's. Its certificates follow its clock.
    pub fn with_clock_ahead(authority: &Authority, simulated: Simulated, ahead: Duration) -> Result<Self, Error> {
        Self::build(authority, simulated, Offset::Ahead(ahead), &|_, _| {})
    }

    /// A module whose clock is behind the machine's. Its certificates follow its clock.
    pub fn with_clock_behind(authority: &Authority, simulated: Simulated, behind: Duration) -> Result<Self, Error> {
        Self::build(authority, simulated, Offset::Behind(behind), &|_, _| {})
    }

    /// A module whose clock can be set while it runs: `file` holds by how many seconds it is ahead, a negative number when it is
    /// behind. Without the file, or with anything else in it, the clock is the machine's.
    pub fn with_clock_of(authority: &Authority, simulated: Simulated, file: &Path) -> Result<Self, Error> {
        Self::build(authority, simulated, Offset::File(file.to_owned()), &|_, _| {})
    }

    pub(super) fn with_spoilt_chain(
        authority: &Authority,
        simulated: Simulated,
        spoil: &dyn Fn(Level, &mut Draft),
    ) -> Result<Self, Error> {
        let module = Self::build(authority, simulated, Offset::Ahead(Duration::ZERO), spoil)?;
        Ok(Self { renews: false, ..module })
    }

    fn build(
        authority: &Authority,
        simulated: Simulated,
        offset: Offset,
        spoil: &dyn Fn(Level, &mut Draft),
    ) -> Result<Self, Error> {
        let registers = boot(&simulated)?;
        let now = offset.now().ok_or(Error::Signing)?;
        let chain = Chain::issue(authority, &simulated.module_id, now, spoil)?;
        let state = Mutex::new(State { registers, chain });
        Ok(Self { authority: authority.clone(), module_id: simulated.module_id, offset, renews: true, state })
    }

    /// Signs a document whose payload `edit` may change first.
    pub(super) fn document(
        &self,
        request: &AttestRequest,
        edit: impl FnOnce(&mut document::Payload),
    ) -> Result<Vec<u8>, Error> {
        let now = self.offset.now().ok_or(Error::Signing)?;
        let mut state = self.state();
        // Like the hypervisor, which replaces the leaf of an enclave that outlives it.
        if self.renews && !state.chain.is_valid_at(now) {
            state.chain = Chain::issue(&self.authority, &self.module_id, now, &|_, _| {})?;
        }
        let locked = (0..).zip(&state.registers).filter(|(_, register)| register.locked);
        let locked: BTreeMap<u16, _> = locked.map(|(index, register)| (index, register.value)).collect();
        let mut payload = document::payload(&self.module_id, now, &locked, &state.chain, request)?;
        edit(&mut payload);
        document::sign(payload, &state.chain)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done by a panic between two calls, so a poisoned state is still a state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Nsm for SimulatedNsm {
    fn describe(&self) -> NsmResult<Description> {
        let state = self.state();
        let locked = (0..).zip(&state.registers).filter(|(_, register)| register.locked);
        Ok(Description {
            version: (1, 0, 0),
            module_id: self.module_id.clone(),
            max_pcrs: limits::PCRS,
            locked_pcrs: locked.map(|(index, _)| index).collect(),
            digest: Digest::Sha384,
        })
    }

    fn describe_pcr(&self, index: u16) -> NsmResult<Pcr> {
        let mut state = self.state();
        let register = state.register(index)?;
        Ok(Pcr { locked: register.locked, value: register.value.to_vec() })
    }

    fn get_random(&self) -> NsmResult<Vec<u8>> {
        let mut bytes = vec![0; limits::RANDOM];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| NsmError::InternalError)?;
        Ok(bytes)
    }

    fn extend(&self, index: u16, data: &[u8]) -> NsmResult<Vec<u8>> {
        refuse_large_request(index, data)?;
        let mut state = self.state();
        let register = state.register(index)?;
        if register.locked {
            return Err(NsmError::ReadOnlyIndex);
        }
        register.value = extend(&register.value, data);
        Ok(register.value.to_vec())
    }

    fn lock(&self, index: u16) -> NsmResult<()> {
        let mut state = self.state();
        let register = state.register(index)?;
        if register.locked {
            return Err(NsmError::ReadOnlyIndex);
        }
        register.locked = true;
        Ok(())
    }

    fn lock_range(&self, count: u16) -> NsmResult<()> {
        let mut state = self.state();
        let registers = state.registers.get_mut(..usize::from(count)).ok_or(NsmError::InvalidIndex)?;
        registers.iter_mut().for_each(|register| register.locked = true);
        Ok(())
    }

    fn attest(&self, request: &AttestRequest) -> NsmResult<Vec<u8>> {
        let too_large = |field: &Option<Vec<u8>>, limit| field.as_ref().is_some_and(|bytes| bytes.len() > limit);
        if too_large(&request.public_key, limits::PUBLIC_KEY)
            || too_large(&request.user_data, limits::USER_DATA)
            || too_large(&request.nonce, limits::NONCE)
        {
            return Err(NsmError::InputTooLarge);
        }
        self.document(request, |_| {}).map_err(|_| NsmError::InternalError)
    }
}

impl State {
    fn register(&mut self, index: u16) -> NsmResult<&mut Register> {
        self.registers.get_mut(usize::from(index)).ok_or(NsmError::InvalidIndex)
    }
}

impl Offset {
    fn now(&self) -> Option<SystemTime> {
        let now = SystemTime::now();
        match self {
            Self::Ahead(ahead) => now.checked_add(*ahead),
            Self::Behind(behind) => now.checked_sub(*behind),
            Self::File(file) => {
                let text = std::fs::read_to_string(file).unwrap_or_default();
                let ahead = text.trim().parse::<i64>().unwrap_or(0);
                let by = Duration::from_secs(ahead.unsigned_abs());
                if ahead < 0 { now.checked_sub(by) } else { now.checked_add(by) }
            }
        }
    }
}

/// The registers as the hypervisor leaves them.
fn boot(simulated: &Simulated) -> Result<Vec<Register>, Error> {
    let zero = [0; limits::PCR_BYTES];
    let platform = |index| index < limits::PLATFORM_PCRS;
    let mut registers: Vec<_> =
        (0..limits::PCRS).map(|index| Register { value: zero, locked: platform(index) }).collect();
    for (&index, value) in &simulated.pcrs {
        let register = registers.get_mut(usize::from(index)).ok_or(Error::Pcr(index))?;
        *register = Register { value: *value, locked: true };
    }
    for (index, register) in (0..).zip(&mut registers) {
        match index {
            0..=2 if simulated.debug => register.value = zero,
            // Whose instance it is gets measured even in debug mode.
            4 if register.value == zero => register.value = extend(&zero, instance_id(&simulated.module_id)),
            _ => {}
        }
    }
    Ok(registers)
}

fn instance_id(module_id: &str) -> &[u8] {
    module_id.split("-enc").next().unwrap_or(module_id).as_bytes()
}

/// `SHA384(old || data)`.
fn extend(old: &[u8], data: &[u8]) -> [u8; limits::PCR_BYTES] {
    let mut context = digest::Context::new(&digest::SHA384);
    context.update(old);
    context.update(data);
    let mut value = [0; limits::PCR_BYTES];
    value.copy_from_slice(context.finish().as_ref());
    value
}

/// The driver refuses a request that does not fit its buffer in CBOR.
fn refuse_large_request(index: u16, data: &[u8]) -> NsmResult<()> {
    let arguments = [("index", Value::from(index)), ("data", Value::Bytes(data.to_vec()))];
    let arguments = arguments.into_iter().map(|(name, value)| (Value::from(name), value));
    let request = Value::Map(vec![(Value::from("ExtendPCR"), Value::Map(arguments.collect()))]);
    match document::encode(&request) {
        Ok(bytes) if bytes.len() <= limits::REQUEST => Ok(()),
        _ => Err(NsmError::InputTooLarge),
    }
}
