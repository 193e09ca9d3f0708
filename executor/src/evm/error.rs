//! What stops the EVM, in our words.

use alloy_primitives::U256;
use revm::{
    context::result::{FromStringError, HaltReason, InvalidHeader, InvalidTransaction},
    context_interface::context::ContextError,
    database_interface::DBErrorMarker,
};

use crate::{Invalid, Rejection, StateError};

impl DBErrorMarker for StateError {}

/// Why a transaction has no result.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It is not valid here, and nothing happened.
    Rejected(Rejection),
    /// The state could not be read.
    State(StateError),
    /// The EVM broke a promise.
    Evm(String),
}

/// Why a transaction consumed all its gas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Halt {
    /// The EVM stopped it.
    Evm(HaltReason),
    /// A deposit that would have been refused, had it been signed.
    FailedDeposit(Box<Rejection>),
}

impl From<HaltReason> for Halt {
    fn from(reason: HaltReason) -> Self {
        Self::Evm(reason)
    }
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<StateError> for Stop {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

impl From<ContextError<StateError>> for Stop {
    fn from(error: ContextError<StateError>) -> Self {
        match error {
            ContextError::Db(error) => Self::State(error),
            ContextError::Custom(message) => Self::Evm(message),
        }
    }
}

impl FromStringError for Stop {
    fn from_string(message: String) -> Self {
        Self::Evm(message)
    }
}

impl From<InvalidHeader> for Stop {
    fn from(error: InvalidHeader) -> Self {
        Self::Evm(error.to_string())
    }
}

impl From<InvalidTransaction> for Stop {
    fn from(error: InvalidTransaction) -> Self {
        Self::Rejected(rejection(error))
    }
}

fn rejection(error: InvalidTransaction) -> Rejection {
    use InvalidTransaction as Evm;

    let invalid = match error {
        Evm::NonceTooHigh { tx: transaction, state } => {
            return Rejection::NonceTooHigh { transaction, state };
        }
        Evm::NonceTooLow { tx: transaction, state } => {
            return Rejection::NonceTooLow { transaction, state };
        }
        Evm::LackOfFundForMaxFee { fee, balance } => {
            return Rejection::InsufficientFunds { required: *fee, balance: *balance };
        }
        // More than 128 bits of gas fees: nobody has that much.
        Evm::OverflowPaymentInTransaction => {
            return Rejection::InsufficientFunds { required: U256::MAX, balance: U256::ZERO };
        }
        Evm::RejectCallerWithCode => return Rejection::SenderHasCode,
        // The handler replaces it with the figures; they are not at hand here.
        Evm::GasPriceLessThanBasefee => {
            return Rejection::FeeCapBelowBaseFee { fee_cap: 0, base_fee: 0 };
        }
        Evm::PriorityFeeGreaterThanMaxFee => Invalid::TipAboveFeeCap,
        Evm::CallerGasLimitMoreThanBlock | Evm::TxGasLimitGreaterThanCap { .. } => {
            Invalid::GasLimit
        }
        Evm::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
            Invalid::IntrinsicGas { gas_limit, required: initial_gas }
        }
        Evm::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
            Invalid::FloorGas { gas_limit, required: gas_floor }
        }
        Evm::NonceOverflowInTransaction => Invalid::NonceMax,
        Evm::CreateInitCodeSizeLimit => Invalid::InitCodeSize,
        Evm::InvalidChainId | Evm::MissingChainId => Invalid::ChainId,
        Evm::EmptyAuthorizationList => Invalid::NoAuthorizations,
        Evm::BlobGasPriceGreaterThanMax { .. } => Invalid::Blobs("blob fee cap below the price"),
        Evm::EmptyBlobs => Invalid::Blobs("none"),
        Evm::TooManyBlobs { .. } => Invalid::Blobs("too many"),
        Evm::BlobVersionNotSupported => Invalid::Blobs("unknown hash version"),
        Evm::BlobCreateTransaction => Invalid::Blobs("blobs cannot create contracts"),
        Evm::Eip2930NotSupported
        | Evm::Eip1559NotSupported
        | Evm::Eip4844NotSupported
        | Evm::Eip7702NotSupported => Invalid::Type,
        other => Invalid::Other(other.to_string()),
    };
    Rejection::Invalid(invalid)
}
