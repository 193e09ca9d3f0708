// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Initializable} from "./Initializable.sol";
import {Ownable} from "./Ownable.sol";
import {ResourceConfig} from "./ResourceConfig.sol";
import {loadAddress, loadWord, storeAddress, storeWord} from "./StorageSlot.sol";

/// @title SystemConfig
/// @notice What the rollup's owner can change while the chain runs. Nodes read the events, not the storage: a change
///         holds from the first L2 block whose L1 origin is the block of its event.
///
///         Every node stops, or goes on with the old value, when it meets an event that it cannot read. So whatever could
///         not be read is refused here.
contract SystemConfig is Initializable, Ownable {
    /// @custom:value BATCHER             Who posts batches: a batcher hash.
    /// @custom:value FEE_SCALARS         What L1's prices weigh in fees: two words, of which the second is `scalar`.
    /// @custom:value GAS_LIMIT           The gas limit of L2 blocks.
    /// @custom:value UNSAFE_BLOCK_SIGNER Who signs blocks that are not on L1 yet: no concern of derivation.
    /// @custom:value EIP_1559_PARAMS     How the base fee of L2 moves: denominator and elasticity, 32 bits each.
    /// @custom:value OPERATOR_FEE_PARAMS What the operator asks for: 32 bits of scalar, 64 bits of constant.
    enum UpdateType {
        BATCHER,
        FEE_SCALARS,
        GAS_LIMIT,
        UNSAFE_BLOCK_SIGNER,
        EIP_1559_PARAMS,
        OPERATOR_FEE_PARAMS
    }

    /// @notice What a rollup begins with. Zero for both EIP-1559 parameters stands for the constants of the chain.
    struct Settings {
        address owner;
        bytes32 batcherHash;
        uint64 gasLimit;
        uint32 basefeeScalar;
        uint32 blobbasefeeScalar;
        uint32 eip1559Denominator;
        uint32 eip1559Elasticity;
        uint32 operatorFeeScalar;
        uint64 operatorFeeConstant;
        address unsafeBlockSigner;
        address batchInbox;
        uint256 l2ChainId;
    }

    /// @notice The L1 contracts that exist before bridges and dispute games do. A later version's initializer adds those,
    ///         at the slots that are named below.
    struct Contracts {
        address superchainConfig;
        address optimismPortal;
    }

    /// @notice The version of the events.
    uint256 public constant VERSION = 0;
    string public constant version = "2.5.0";

    bytes32 public constant UNSAFE_BLOCK_SIGNER_SLOT = keccak256("systemconfig.unsafeblocksigner");
    bytes32 public constant L1_CROSS_DOMAIN_MESSENGER_SLOT =
        bytes32(uint256(keccak256("systemconfig.l1crossdomainmessenger")) - 1);
    bytes32 public constant L1_ERC_721_BRIDGE_SLOT = bytes32(uint256(keccak256("systemconfig.l1erc721bridge")) - 1);
    bytes32 public constant L1_STANDARD_BRIDGE_SLOT = bytes32(uint256(keccak256("systemconfig.l1standardbridge")) - 1);
    bytes32 public constant OPTIMISM_PORTAL_SLOT = bytes32(uint256(keccak256("systemconfig.optimismportal")) - 1);
    bytes32 public constant OPTIMISM_MINTABLE_ERC20_FACTORY_SLOT =
        bytes32(uint256(keccak256("systemconfig.optimismmintableerc20factory")) - 1);
    bytes32 public constant BATCH_INBOX_SLOT = bytes32(uint256(keccak256("systemconfig.batchinbox")) - 1);
    bytes32 public constant START_BLOCK_SLOT = bytes32(uint256(keccak256("systemconfig.startBlock")) - 1);
    bytes32 public constant DISPUTE_GAME_FACTORY_SLOT =
        bytes32(uint256(keccak256("systemconfig.disputegamefactory")) - 1);

    /// @dev More gas than this in a block is more than others can be expected to execute, or prove, in its time.
    uint64 private constant GAS_LIMIT_MAX = 500_000_000;

    /// @notice Nothing since Ecotone.
    uint256 public overhead; // slot 101
    /// @notice Both fee scalars as the event has them: a version byte of one, and 32 bits each at the end.
    uint256 public scalar; // slot 102
    /// @notice Who posts batches: an address, padded on the left.
    bytes32 public batcherHash; // slot 103
    /// @notice The gas limit of L2 blocks.
    uint64 public gasLimit; // slot 104, low 8 bytes
    /// @notice What the L1 base fee weighs in fees, in millionths.
    uint32 public basefeeScalar; // slot 104, next 4 bytes
    /// @notice What the L1 blob base fee weighs in fees, in millionths.
    uint32 public blobbasefeeScalar; // slot 104, next 4 bytes
    ResourceConfig private _resourceConfig; // slot 105
    /// @notice How much the base fee of L2 can change in a block: one part in this many.
    uint32 public eip1559Denominator; // slot 106, low 4 bytes
    /// @notice The gas limit is this many times the gas target.
    uint32 public eip1559Elasticity; // slot 106, next 4 bytes
    /// @notice What the operator asks for a million gas.
    uint32 public operatorFeeScalar; // slot 106, next 4 bytes
    /// @notice What the operator asks for each transaction, in wei.
    uint64 public operatorFeeConstant; // slot 106, next 8 bytes
    /// @notice The chain id of L2.
    uint256 public l2ChainId; // slot 107
    /// @notice Who can hold up withdrawals.
    address public superchainConfig; // slot 108

    event ConfigUpdate(uint256 indexed version, UpdateType indexed updateType, bytes data);

    constructor() {
        _disableInitializers();
    }

    function initialize(Settings calldata _settings, Contracts calldata _contracts) external initializer(1) {
        // Before the gas limit, which has to leave room for deposits. The values are those of the specification.
        _resourceConfig = ResourceConfig({
            maxResourceLimit: 20_000_000,
            elasticityMultiplier: 10,
            baseFeeMaxChangeDenominator: 8,
            minimumBaseFee: 1 gwei,
            systemTxMaxGas: 1_000_000,
            maximumBaseFee: type(uint128).max
        });

        _setOwner(_settings.owner);
        _setBatcherHash(_settings.batcherHash);
        _setFeeScalars(_settings.basefeeScalar, _settings.blobbasefeeScalar);
        _setGasLimit(_settings.gasLimit);
        _setUnsafeBlockSigner(_settings.unsafeBlockSigner);
        if (_settings.eip1559Denominator != 0 || _settings.eip1559Elasticity != 0) {
            _setEIP1559Params(_settings.eip1559Denominator, _settings.eip1559Elasticity);
        }
        if (_settings.operatorFeeScalar != 0 || _settings.operatorFeeConstant != 0) {
            _setOperatorFee(_settings.operatorFeeScalar, _settings.operatorFeeConstant);
        }

        l2ChainId = _settings.l2ChainId;
        superchainConfig = _contracts.superchainConfig;
        storeAddress(OPTIMISM_PORTAL_SLOT, _contracts.optimismPortal);
        storeAddress(BATCH_INBOX_SLOT, _settings.batchInbox);
        storeWord(START_BLOCK_SLOT, block.number);
    }

    function setBatcherHash(bytes32 _batcherHash) external onlyOwner {
        _setBatcherHash(_batcherHash);
    }

    function setGasConfigEcotone(uint32 _basefeeScalar, uint32 _blobbasefeeScalar) external onlyOwner {
        _setFeeScalars(_basefeeScalar, _blobbasefeeScalar);
    }

    function setGasLimit(uint64 _gasLimit) external onlyOwner {
        _setGasLimit(_gasLimit);
    }

    function setUnsafeBlockSigner(address _unsafeBlockSigner) external onlyOwner {
        _setUnsafeBlockSigner(_unsafeBlockSigner);
    }

    function setEIP1559Params(uint32 _denominator, uint32 _elasticity) external onlyOwner {
        _setEIP1559Params(_denominator, _elasticity);
    }

    function setOperatorFeeScalars(uint32 _operatorFeeScalar, uint64 _operatorFeeConstant) external onlyOwner {
        _setOperatorFee(_operatorFeeScalar, _operatorFeeConstant);
    }

    /// @notice What an L2 block needs for all deposits that L1 can have sold, and for the L1 attributes transaction.
    function minimumGasLimit() public view returns (uint64) {
        return uint64(_resourceConfig.maxResourceLimit) + _resourceConfig.systemTxMaxGas;
    }

    function maximumGasLimit() public pure returns (uint64) {
        return GAS_LIMIT_MAX;
    }

    /// @notice How the portal sells L2 gas.
    function resourceConfig() external view returns (ResourceConfig memory) {
        return _resourceConfig;
    }

    function unsafeBlockSigner() external view returns (address) {
        return loadAddress(UNSAFE_BLOCK_SIGNER_SLOT);
    }

    function optimismPortal() external view returns (address) {
        return loadAddress(OPTIMISM_PORTAL_SLOT);
    }

    /// @notice Where batches are sent.
    function batchInbox() external view returns (address) {
        return loadAddress(BATCH_INBOX_SLOT);
    }

    /// @notice The block of the first event: nobody needs to look for any in older ones.
    function startBlock() external view returns (uint256) {
        return loadWord(START_BLOCK_SLOT);
    }

    function l1CrossDomainMessenger() external view returns (address) {
        return loadAddress(L1_CROSS_DOMAIN_MESSENGER_SLOT);
    }

    function l1ERC721Bridge() external view returns (address) {
        return loadAddress(L1_ERC_721_BRIDGE_SLOT);
    }

    function l1StandardBridge() external view returns (address) {
        return loadAddress(L1_STANDARD_BRIDGE_SLOT);
    }

    function optimismMintableERC20Factory() external view returns (address) {
        return loadAddress(OPTIMISM_MINTABLE_ERC20_FACTORY_SLOT);
    }

    function disputeGameFactory() external view returns (address) {
        return loadAddress(DISPUTE_GAME_FACTORY_SLOT);
    }

    function _setBatcherHash(bytes32 _batcherHash) private {
        require(uint256(_batcherHash) <= type(uint160).max, "SystemConfig: batcher hash is not an address");
        batcherHash = _batcherHash;
        emit ConfigUpdate(VERSION, UpdateType.BATCHER, abi.encode(_batcherHash));
    }

    function _setFeeScalars(uint32 _basefeeScalar, uint32 _blobbasefeeScalar) private {
        basefeeScalar = _basefeeScalar;
        blobbasefeeScalar = _blobbasefeeScalar;
        scalar = uint256(1) << 248 | uint256(_blobbasefeeScalar) << 32 | _basefeeScalar;
        emit ConfigUpdate(VERSION, UpdateType.FEE_SCALARS, abi.encode(overhead, scalar));
    }

    function _setGasLimit(uint64 _gasLimit) private {
        require(_gasLimit >= minimumGasLimit(), "SystemConfig: gas limit too low");
        require(_gasLimit <= maximumGasLimit(), "SystemConfig: gas limit too high");
        gasLimit = _gasLimit;
        emit ConfigUpdate(VERSION, UpdateType.GAS_LIMIT, abi.encode(_gasLimit));
    }

    function _setUnsafeBlockSigner(address _unsafeBlockSigner) private {
        storeAddress(UNSAFE_BLOCK_SIGNER_SLOT, _unsafeBlockSigner);
        emit ConfigUpdate(VERSION, UpdateType.UNSAFE_BLOCK_SIGNER, abi.encode(_unsafeBlockSigner));
    }

    function _setEIP1559Params(uint32 _denominator, uint32 _elasticity) private {
        require(_denominator >= 1, "SystemConfig: denominator must be >= 1");
        require(_elasticity >= 1, "SystemConfig: elasticity must be >= 1");
        eip1559Denominator = _denominator;
        eip1559Elasticity = _elasticity;
        bytes memory data = abi.encode(uint256(_denominator) << 32 | _elasticity);
        emit ConfigUpdate(VERSION, UpdateType.EIP_1559_PARAMS, data);
    }

    function _setOperatorFee(uint32 _operatorFeeScalar, uint64 _operatorFeeConstant) private {
        operatorFeeScalar = _operatorFeeScalar;
        operatorFeeConstant = _operatorFeeConstant;
        bytes memory data = abi.encode(uint256(_operatorFeeScalar) << 64 | _operatorFeeConstant);
        emit ConfigUpdate(VERSION, UpdateType.OPERATOR_FEE_PARAMS, data);
    }
}
