// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ResourceConfig} from "../src/l1/ResourceConfig.sol";
import {Rollup} from "./Rollup.sol";
import {RollupDeployment} from "../src/l1/RollupDeployment.sol";
import {SystemConfig} from "../src/l1/SystemConfig.sol";
import {Vm} from "./Test.sol";

contract SystemConfigTest is Rollup {
    bytes32 private constant CONFIG_UPDATE = keccak256("ConfigUpdate(uint256,uint8,bytes)");

    function test_BeginsWithItsSettings() public view {
        assertEq(config.owner(), OWNER);
        assertEq(config.batcherHash(), bytes32(uint256(0xba7c4e5)));
        assertEq(config.gasLimit(), 60_000_000);
        assertEq(config.basefeeScalar(), 1_368);
        assertEq(config.blobbasefeeScalar(), 810_949);
        assertEq(config.overhead(), 0);
        assertEq(config.scalar(), (uint256(1) << 248) + (uint256(810_949) << 32) + 1_368);
        assertEq(config.eip1559Denominator(), 250);
        assertEq(config.eip1559Elasticity(), 6);
        assertEq(config.operatorFeeScalar(), 11);
        assertEq(config.operatorFeeConstant(), 12);
        assertEq(config.unsafeBlockSigner(), address(0x5191e4));
        assertEq(config.batchInbox(), address(0x1b0c));
        assertEq(config.l2ChainId(), 901);
        assertEq(config.startBlock(), 1_000);
        assertEq(config.optimismPortal(), address(portal));
        assertEq(config.superchainConfig(), address(superchain));
        assertEq(config.l1CrossDomainMessenger(), address(0));
        assertEq(config.l1ERC721Bridge(), address(0));
        assertEq(config.l1StandardBridge(), address(0));
        assertEq(config.optimismMintableERC20Factory(), address(0));
        assertEq(config.disputeGameFactory(), address(0));

        ResourceConfig memory resource = config.resourceConfig();
        assertEq(resource.maxResourceLimit, 20_000_000);
        assertEq(resource.elasticityMultiplier, 10);
        assertEq(resource.baseFeeMaxChangeDenominator, 8);
        assertEq(resource.minimumBaseFee, 1 gwei);
        assertEq(resource.systemTxMaxGas, 1_000_000);
        assertEq(resource.maximumBaseFee, type(uint128).max);
        assertEq(config.minimumGasLimit(), 21_000_000);
    }

    /// Tools read these with `eth_getStorageAt` and proofs.
    function test_KeepsThingsWhereToolsLook() public view {
        assertEq(vm.load(address(config), keccak256("systemconfig.unsafeblocksigner")), word(0x5191e4));
        assertEq(vm.load(address(config), named("systemconfig.batchinbox")), word(0x1b0c));
        assertEq(vm.load(address(config), named("systemconfig.optimismportal")), word(uint160(address(portal))));
        assertEq(vm.load(address(config), named("systemconfig.startBlock")), word(1_000));
        assertEq(vm.load(address(config), word(51)), word(uint160(OWNER)));
        assertEq(vm.load(address(config), word(103)), word(0xba7c4e5));
        uint256 gas = (uint256(810_949) << 96) + (uint256(1_368) << 64) + 60_000_000;
        assertEq(vm.load(address(config), word(104)), word(gas));
        uint256 fees = (uint256(12) << 96) + (uint256(11) << 64) + (uint256(6) << 32) + 250;
        assertEq(vm.load(address(config), word(106)), word(fees));
    }

    function testFuzz_AnnouncesTheBatcher(address batcher) public {
        bytes32 hash = bytes32(uint256(uint160(batcher)));
        vm.recordLogs();
        vm.prank(OWNER);
        config.setBatcherHash(hash);
        checkUpdate(0, abi.encode(hash));
        assertEq(config.batcherHash(), hash);
    }

    /// Derivation reads 20 bytes of address and would stop at anything else.
    function testFuzz_RefusesABatcherThatNobodyCanRead(bytes32 hash) public {
        hash |= bytes32(uint256(1) << bound(uint256(hash), 160, 255));
        vm.prank(OWNER);
        expectReason("SystemConfig: batcher hash is not an address");
        config.setBatcherHash(hash);
    }

    function testFuzz_AnnouncesFeeScalars(uint32 base, uint32 blob) public {
        vm.recordLogs();
        vm.prank(OWNER);
        config.setGasConfigEcotone(base, blob);
        bytes32 scalar = bytes32(abi.encodePacked(uint8(1), new bytes(23), blob, base));
        checkUpdate(1, abi.encode(uint256(0), scalar));
        assertEq(config.basefeeScalar(), base);
        assertEq(config.blobbasefeeScalar(), blob);
        assertEq(config.scalar(), uint256(scalar));
    }

    function testFuzz_AnnouncesTheGasLimit(uint64 limit) public {
        limit = uint64(bound(limit, config.minimumGasLimit(), config.maximumGasLimit()));
        vm.recordLogs();
        vm.prank(OWNER);
        config.setGasLimit(limit);
        checkUpdate(2, abi.encode(uint256(limit)));
        assertEq(config.gasLimit(), limit);
    }

    function testFuzz_KeepsTheGasLimitInBounds(uint64 limit) public {
        vm.prank(OWNER);
        if (limit < 21_000_000) expectReason("SystemConfig: gas limit too low");
        else if (limit > 500_000_000) expectReason("SystemConfig: gas limit too high");
        config.setGasLimit(limit);
    }

    function test_TheGasLimitsBoundsAreAllowed() public {
        vm.prank(OWNER);
        config.setGasLimit(21_000_000);
        vm.prank(OWNER);
        config.setGasLimit(500_000_000);
        vm.prank(OWNER);
        expectReason("SystemConfig: gas limit too low");
        config.setGasLimit(20_999_999);
        vm.prank(OWNER);
        expectReason("SystemConfig: gas limit too high");
        config.setGasLimit(500_000_001);
    }

    function testFuzz_AnnouncesTheSigner(address signer) public {
        vm.recordLogs();
        vm.prank(OWNER);
        config.setUnsafeBlockSigner(signer);
        checkUpdate(3, abi.encode(signer));
        assertEq(config.unsafeBlockSigner(), signer);
    }

    function testFuzz_AnnouncesBaseFeeParameters(uint32 denominator, uint32 elasticity) public {
        vm.assume(denominator != 0 && elasticity != 0);
        vm.recordLogs();
        vm.prank(OWNER);
        config.setEIP1559Params(denominator, elasticity);
        checkUpdate(4, abi.encodePacked(new bytes(24), denominator, elasticity));
        assertEq(config.eip1559Denominator(), denominator);
        assertEq(config.eip1559Elasticity(), elasticity);
    }

    function test_RefusesBaseFeeParametersOfZero() public {
        vm.prank(OWNER);
        expectReason("SystemConfig: denominator must be >= 1");
        config.setEIP1559Params(0, 6);
        vm.prank(OWNER);
        expectReason("SystemConfig: elasticity must be >= 1");
        config.setEIP1559Params(250, 0);
    }

    function testFuzz_AnnouncesTheOperatorFee(uint32 scalar, uint64 constant_) public {
        vm.recordLogs();
        vm.prank(OWNER);
        config.setOperatorFeeScalars(scalar, constant_);
        checkUpdate(5, abi.encodePacked(new bytes(20), scalar, constant_));
        assertEq(config.operatorFeeScalar(), scalar);
        assertEq(config.operatorFeeConstant(), constant_);
    }

    function testFuzz_NobodyElseChangesAnything(address caller) public {
        vm.assume(caller != OWNER && caller != address(admin));
        bytes[8] memory calls = [
            abi.encodeCall(config.setBatcherHash, (0)),
            abi.encodeCall(config.setGasConfigEcotone, (1, 2)),
            abi.encodeCall(config.setGasLimit, (30_000_000)),
            abi.encodeCall(config.setUnsafeBlockSigner, (caller)),
            abi.encodeCall(config.setEIP1559Params, (1, 1)),
            abi.encodeCall(config.setOperatorFeeScalars, (1, 1)),
            abi.encodeCall(config.transferOwnership, (caller)),
            abi.encodeCall(config.renounceOwnership, ())
        ];
        bytes memory refusal = abi.encodeWithSignature("Error(string)", "Ownable: caller is not the owner");
        for (uint256 i = 0; i < calls.length; i++) {
            vm.prank(caller);
            (bool success, bytes memory result) = address(config).call(calls[i]);
            assertTrue(!success, "it was allowed");
            assertEq(result, refusal);
        }
    }

    function test_OwnershipMovesOrEnds() public {
        vm.prank(OWNER);
        expectReason("Ownable: new owner is the zero address");
        config.transferOwnership(address(0));
        vm.prank(OWNER);
        config.transferOwnership(GUARDIAN);
        assertEq(config.owner(), GUARDIAN);
        vm.prank(GUARDIAN);
        config.renounceOwnership();
        assertEq(config.owner(), address(0));
    }

    /// Zero means that the chain's constants hold, and an event that says so would be one that derivation cannot read.
    function test_WithoutParametersThereAreNoEventsOfThem() public {
        SystemConfig.Settings memory plain = settings();
        (plain.eip1559Denominator, plain.eip1559Elasticity) = (0, 0);
        (plain.operatorFeeScalar, plain.operatorFeeConstant) = (0, 0);
        vm.recordLogs();
        SystemConfig other = new RollupDeployment(code, GUARDIAN, plain).systemConfig();
        Vm.Log[] memory logs = vm.getRecordedLogs();
        uint256 updates = 0;
        for (uint256 i = 0; i < logs.length; i++) {
            if (logs[i].emitter != address(other) || logs[i].topics[0] != CONFIG_UPDATE) continue;
            assertEq(logs[i].topics[2], word(updates));
            updates++;
        }
        assertEq(updates, 4);
        assertEq(other.eip1559Denominator(), 0);
    }

    function checkUpdate(uint256 kind, bytes memory data) private {
        Vm.Log memory log = theLog();
        assertEq(log.emitter, address(config));
        assertEq(log.topics.length, 3);
        assertEq(log.topics[0], CONFIG_UPDATE);
        assertEq(log.topics[1], word(0));
        assertEq(log.topics[2], word(kind));
        // One byte string: where it starts, how long it is, and words that need no padding.
        assertEq(log.data, abi.encodePacked(uint256(32), data.length, data));
    }

    function word(uint256 number) private pure returns (bytes32) {
        return bytes32(number);
    }
}
