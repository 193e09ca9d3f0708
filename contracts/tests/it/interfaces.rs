//! The public interfaces, written from their specifications and not from our sources.

use alloy_sol_types::sol;

sol! {
    #![sol(all_derives)]

    interface IL1Block {
        error NotDepositor();
        function DEPOSITOR_ACCOUNT() external pure returns (address);
        function basefee() external view returns (uint256);
        function baseFeeScalar() external view returns (uint32);
        function batcherHash() external view returns (bytes32);
        function blobBaseFee() external view returns (uint256);
        function blobBaseFeeScalar() external view returns (uint32);
        function gasPayingToken() external view returns (address, uint8);
        function gasPayingTokenName() external view returns (string);
        function gasPayingTokenSymbol() external view returns (string);
        function hash() external view returns (bytes32);
        function isCustomGasToken() external view returns (bool);
        function l1FeeOverhead() external view returns (uint256);
        function l1FeeScalar() external view returns (uint256);
        function number() external view returns (uint64);
        function operatorFeeConstant() external view returns (uint64);
        function operatorFeeScalar() external view returns (uint32);
        function sequenceNumber() external view returns (uint64);
        function setL1BlockValuesEcotone() external;
        function setL1BlockValuesIsthmus() external;
        function timestamp() external view returns (uint64);
        function version() external pure returns (string);
    }

    interface IGasPriceOracle {
        function DECIMALS() external view returns (uint256);
        function baseFee() external view returns (uint256);
        function baseFeeScalar() external view returns (uint32);
        function blobBaseFee() external view returns (uint256);
        function blobBaseFeeScalar() external view returns (uint32);
        function decimals() external pure returns (uint256);
        function gasPrice() external view returns (uint256);
        function getL1Fee(bytes data) external view returns (uint256);
        function getL1FeeUpperBound(uint256 unsignedTxSize) external view returns (uint256);
        function getL1GasUsed(bytes data) external view returns (uint256);
        function getOperatorFee(uint256 gasUsed) external view returns (uint256);
        function isEcotone() external view returns (bool);
        function isFjord() external view returns (bool);
        function isIsthmus() external view returns (bool);
        function l1BaseFee() external view returns (uint256);
        function overhead() external view returns (uint256);
        function scalar() external view returns (uint256);
        function version() external view returns (string);
    }

    interface IL2ToL1MessagePasser {
        event MessagePassed(
            uint256 indexed nonce,
            address indexed sender,
            address indexed target,
            uint256 value,
            uint256 gasLimit,
            bytes data,
            bytes32 withdrawalHash
        );
        event WithdrawerBalanceBurnt(uint256 indexed amount);
        function MESSAGE_VERSION() external view returns (uint16);
        function burn() external;
        function initiateWithdrawal(address target, uint256 gasLimit, bytes data) external payable;
        function messageNonce() external view returns (uint256);
        function sentMessages(bytes32 withdrawalHash) external view returns (bool);
        function version() external view returns (string);
    }

    interface IFeeVault {
        event Withdrawal(uint256 value, address to, address from);
        event Withdrawal(uint256 value, address to, address from, uint8 withdrawalNetwork);
        event MinWithdrawalAmountUpdated(uint256 oldWithdrawalAmount, uint256 newWithdrawalAmount);
        event RecipientUpdated(address oldRecipient, address newRecipient);
        event WithdrawalNetworkUpdated(uint8 oldWithdrawalNetwork, uint8 newWithdrawalNetwork);
        function MIN_WITHDRAWAL_AMOUNT() external view returns (uint256);
        function RECIPIENT() external view returns (address);
        function WITHDRAWAL_NETWORK() external view returns (uint8);
        function minWithdrawalAmount() external view returns (uint256);
        function recipient() external view returns (address);
        function setMinWithdrawalAmount(uint256 newMinWithdrawalAmount) external;
        function setRecipient(address newRecipient) external;
        function setWithdrawalNetwork(uint8 newWithdrawalNetwork) external;
        function totalProcessed() external view returns (uint256);
        function version() external view returns (string);
        function withdraw() external returns (uint256);
        function withdrawalNetwork() external view returns (uint8);
    }

    interface IWETH {
        event Approval(address indexed src, address indexed guy, uint256 wad);
        event Transfer(address indexed src, address indexed dst, uint256 wad);
        event Deposit(address indexed dst, uint256 wad);
        event Withdrawal(address indexed src, uint256 wad);
        function allowance(address owner, address spender) external view returns (uint256);
        function approve(address guy, uint256 wad) external returns (bool);
        function balanceOf(address src) external view returns (uint256);
        function decimals() external view returns (uint8);
        function deposit() external payable;
        function name() external view returns (string);
        function symbol() external view returns (string);
        function totalSupply() external view returns (uint256);
        function transfer(address dst, uint256 wad) external returns (bool);
        function transferFrom(address src, address dst, uint256 wad) external returns (bool);
        function version() external view returns (string);
        function withdraw(uint256 wad) external;
    }

    interface IProxy {
        event Upgraded(address indexed implementation);
        event AdminChanged(address previousAdmin, address newAdmin);
        function admin() external returns (address);
        function changeAdmin(address admin) external;
        function implementation() external returns (address);
        function upgradeTo(address implementation) external;
        function upgradeToAndCall(address implementation, bytes data) external payable returns (bytes);
    }

    interface IProxyAdmin {
        event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);
        function changeProxyAdmin(address proxy, address newAdmin) external;
        function getProxyAdmin(address proxy) external view returns (address);
        function getProxyImplementation(address proxy) external view returns (address);
        function owner() external view returns (address);
        function renounceOwnership() external;
        function transferOwnership(address newOwner) external;
        function upgrade(address proxy, address implementation) external;
        function upgradeAndCall(address proxy, address implementation, bytes data) external payable;
    }

    interface IMulticall3 {
        struct Call {
            address target;
            bytes callData;
        }
        struct Call3 {
            address target;
            bool allowFailure;
            bytes callData;
        }
        struct Call3Value {
            address target;
            bool allowFailure;
            uint256 value;
            bytes callData;
        }
        struct Result {
            bool success;
            bytes returnData;
        }
        function aggregate(Call[] calls) external payable returns (uint256 blockNumber, bytes[] returnData);
        function aggregate3(Call3[] calls) external payable returns (Result[] returnData);
        function aggregate3Value(Call3Value[] calls) external payable returns (Result[] returnData);
        function blockAndAggregate(Call[] calls) external payable
            returns (uint256 blockNumber, bytes32 blockHash, Result[] returnData);
        function getBasefee() external view returns (uint256);
        function getBlockHash(uint256 blockNumber) external view returns (bytes32);
        function getBlockNumber() external view returns (uint256);
        function getChainId() external view returns (uint256);
        function getCurrentBlockCoinbase() external view returns (address);
        function getCurrentBlockDifficulty() external view returns (uint256);
        function getCurrentBlockGasLimit() external view returns (uint256);
        function getCurrentBlockTimestamp() external view returns (uint256);
        function getEthBalance(address addr) external view returns (uint256);
        function getLastBlockHash() external view returns (bytes32);
        function tryAggregate(bool requireSuccess, Call[] calls) external payable returns (Result[] returnData);
        function tryBlockAndAggregate(bool requireSuccess, Call[] calls) external payable
            returns (uint256 blockNumber, bytes32 blockHash, Result[] returnData);
    }

    interface ISystemConfig {
        event ConfigUpdate(uint256 indexed version, uint8 indexed updateType, bytes data);
        event Initialized(uint8 version);
        event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);
        struct ResourceConfig {
            uint32 maxResourceLimit;
            uint8 elasticityMultiplier;
            uint8 baseFeeMaxChangeDenominator;
            uint32 minimumBaseFee;
            uint32 systemTxMaxGas;
            uint128 maximumBaseFee;
        }
        function BATCH_INBOX_SLOT() external view returns (bytes32);
        function DISPUTE_GAME_FACTORY_SLOT() external view returns (bytes32);
        function L1_CROSS_DOMAIN_MESSENGER_SLOT() external view returns (bytes32);
        function L1_ERC_721_BRIDGE_SLOT() external view returns (bytes32);
        function L1_STANDARD_BRIDGE_SLOT() external view returns (bytes32);
        function OPTIMISM_MINTABLE_ERC20_FACTORY_SLOT() external view returns (bytes32);
        function OPTIMISM_PORTAL_SLOT() external view returns (bytes32);
        function START_BLOCK_SLOT() external view returns (bytes32);
        function UNSAFE_BLOCK_SIGNER_SLOT() external view returns (bytes32);
        function VERSION() external view returns (uint256);
        function basefeeScalar() external view returns (uint32);
        function batchInbox() external view returns (address);
        function batcherHash() external view returns (bytes32);
        function blobbasefeeScalar() external view returns (uint32);
        function disputeGameFactory() external view returns (address);
        function eip1559Denominator() external view returns (uint32);
        function eip1559Elasticity() external view returns (uint32);
        function gasLimit() external view returns (uint64);
        function l1CrossDomainMessenger() external view returns (address);
        function l1ERC721Bridge() external view returns (address);
        function l1StandardBridge() external view returns (address);
        function l2ChainId() external view returns (uint256);
        function maximumGasLimit() external pure returns (uint64);
        function minimumGasLimit() external view returns (uint64);
        function operatorFeeConstant() external view returns (uint64);
        function operatorFeeScalar() external view returns (uint32);
        function optimismMintableERC20Factory() external view returns (address);
        function optimismPortal() external view returns (address);
        function overhead() external view returns (uint256);
        function owner() external view returns (address);
        function renounceOwnership() external;
        function resourceConfig() external view returns (ResourceConfig memory);
        function scalar() external view returns (uint256);
        function setBatcherHash(bytes32 batcherHash) external;
        function setEIP1559Params(uint32 denominator, uint32 elasticity) external;
        function setGasConfigEcotone(uint32 basefeeScalar, uint32 blobbasefeeScalar) external;
        function setGasLimit(uint64 gasLimit) external;
        function setOperatorFeeScalars(uint32 operatorFeeScalar, uint64 operatorFeeConstant) external;
        function setUnsafeBlockSigner(address unsafeBlockSigner) external;
        function startBlock() external view returns (uint256);
        function superchainConfig() external view returns (address);
        function transferOwnership(address newOwner) external;
        function unsafeBlockSigner() external view returns (address);
        function version() external pure returns (string memory);
    }

    interface IOptimismPortal {
        event Initialized(uint8 version);
        event TransactionDeposited(address indexed from, address indexed to, uint256 indexed version, bytes opaqueData);
        error BadTarget();
        error LargeCalldata();
        error OutOfGas();
        error SmallGasLimit();
        function depositTransaction(address to, uint256 value, uint64 gasLimit, bool isCreation, bytes memory data)
            external payable;
        function donateETH() external payable;
        function guardian() external view returns (address);
        function minimumGasLimit(uint64 byteCount) external pure returns (uint64);
        function params() external view returns (uint128 prevBaseFee, uint64 prevBoughtGas, uint64 prevBlockNum);
        function paused() external view returns (bool);
        function superchainConfig() external view returns (address);
        function systemConfig() external view returns (address);
        function version() external pure returns (string memory);
    }

    interface ISuperchainConfig {
        event ConfigUpdate(uint8 indexed updateType, bytes data);
        event Initialized(uint8 version);
        event Paused(string identifier);
        event Unpaused();
        function GUARDIAN_SLOT() external view returns (bytes32);
        function PAUSED_SLOT() external view returns (bytes32);
        function guardian() external view returns (address);
        function initialize(address guardian, bool paused) external;
        function pause(string memory identifier) external;
        function paused() external view returns (bool);
        function unpause() external;
        function version() external view returns (string memory);
    }
}
