// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OptimismPortal} from "../src/l1/OptimismPortal.sol";
import {Rollup} from "./Rollup.sol";
import {Vm} from "./Test.sol";

contract OptimismPortalTest is Rollup {
    bytes32 private constant DEPOSITED = keccak256("TransactionDeposited(address,address,uint256,bytes)");

    /// An account with a key, which nothing else of the test is.
    address private constant WALLET = address(0xa11ce);

    function setUp() public override {
        super.setUp();
        vm.deal(WALLET, type(uint128).max);
    }

    function testFuzz_ADepositIsAnEvent(address to, uint128 mint, uint256 value, uint64 gas, bytes calldata data) public {
        gas = uint64(bound(gas, portal.minimumGasLimit(uint64(data.length)), 20_000_000));
        // Burning for large amounts is a test of its own.
        vm.fee(1_000_000 gwei);
        vm.recordLogs();
        vm.prank(WALLET, WALLET);
        portal.depositTransaction{value: mint}(to, value, gas, false, data);
        checkDeposit(WALLET, to, abi.encodePacked(uint256(mint), value, gas, uint8(0), data));
        assertEq(address(portal).balance, mint);
    }

    function testFuzz_ACreationHasNoRecipient(address to, bytes calldata data) public {
        vm.assume(to != address(0));
        vm.prank(WALLET, WALLET);
        expectError(OptimismPortal.BadTarget.selector);
        portal.depositTransaction(to, 0, 1_000_000, true, data);

        vm.recordLogs();
        vm.prank(WALLET, WALLET);
        portal.depositTransaction(address(0), 1, 1_000_000, true, data);
        checkDeposit(WALLET, address(0), abi.encodePacked(uint256(0), uint256(1), uint64(1_000_000), uint8(1), data));
    }

    function test_EtherThatIsSentArrives() public {
        vm.recordLogs();
        vm.prank(WALLET, WALLET);
        (bool success,) = address(portal).call{value: 5 ether}("");
        assertTrue(success, "ether is refused");
        checkDeposit(
            WALLET, WALLET, abi.encodePacked(uint256(5 ether), uint256(5 ether), uint64(100_000), uint8(0))
        );
    }

    function test_DonatedEtherIsNobodysDeposit() public {
        vm.recordLogs();
        vm.prank(WALLET, WALLET);
        portal.donateETH{value: 3}();
        assertEq(vm.getRecordedLogs().length, 0);
        assertEq(address(portal).balance, 3);
    }

    /// A contract is not the account that has its address on L2.
    function testFuzz_AContractIsAliased(address sender, address origin, bytes memory itsCode) public {
        assumePlain(sender);
        vm.assume(sender != origin);
        // No contract can have such code: EIP-3541.
        if (itsCode.length != 0) vm.assume(itsCode[0] != 0xef);
        vm.etch(sender, itsCode);
        depositFrom(sender, origin, aliased(sender));
    }

    function test_AnAliasWrapsAround() public {
        address high = address(type(uint160).max);
        depositFrom(high, WALLET, address(uint160(0x1111000000000000000000000000000000001110)));
    }

    /// A wallet with borrowed code calls in the middle of somebody else's transaction, and is still the same wallet.
    function testFuzz_AWalletWithBorrowedCodeIsItself(address sender, address origin, address lender) public {
        assumePlain(sender);
        vm.etch(sender, abi.encodePacked(hex"ef0100", lender));
        depositFrom(sender, origin, sender);
        depositFrom(sender, sender, sender);
    }

    function testFuzz_TheOriginIsItself(address sender) public {
        assumePlain(sender);
        depositFrom(sender, sender, sender);
    }

    /// While a contract is being created it has no code.
    function test_AContractIsAliasedInItsConstructor() public {
        vm.recordLogs();
        Depositor depositor = new Depositor(portal);
        Vm.Log memory log = theLog();
        assertEq(log.topics[1], bytes32(uint256(uint160(aliased(address(depositor))))));
    }

    function testFuzz_GasHasAMinimum(uint64 gas, uint256 length) public {
        bytes memory data = new bytes(bound(length, 0, 120_000));
        uint256 minimum = 21_000 + 40 * data.length;
        assertEq(portal.minimumGasLimit(uint64(data.length)), minimum);
        gas = uint64(bound(gas, 0, minimum - 1));
        vm.prank(WALLET, WALLET);
        expectError(OptimismPortal.SmallGasLimit.selector);
        portal.depositTransaction(WALLET, 0, gas, false, data);
        vm.prank(WALLET, WALLET);
        portal.depositTransaction(WALLET, 0, uint64(minimum), false, data);
    }

    function test_DataHasAMaximum() public {
        vm.prank(WALLET, WALLET);
        portal.depositTransaction(WALLET, 0, 5_000_000, false, new bytes(120_000));
        vm.prank(WALLET, WALLET);
        expectError(OptimismPortal.LargeCalldata.selector);
        portal.depositTransaction(WALLET, 0, 5_000_000, false, new bytes(120_001));
    }

    function test_KeepsThingsWhereToolsLook() public view {
        assertEq(address(portal.systemConfig()), address(config));
        assertEq(address(portal.superchainConfig()), address(superchain));
        assertEq(vm.load(address(portal), bytes32(uint256(55))), bytes32(uint256(uint160(address(config)))));
        uint256 market = (uint256(1_000) << 192) + 1 gwei;
        assertEq(vm.load(address(portal), bytes32(uint256(1))), bytes32(market));
        (uint128 baseFee, uint64 bought, uint64 number) = portal.params();
        assertEq(baseFee, 1 gwei);
        assertEq(bought, 0);
        assertEq(number, 1_000);
    }

    /// What the guardian holds up are withdrawals. A deposit is what remains to users whom a sequencer ignores.
    function test_APauseDoesNotTouchDeposits() public {
        assertEq(portal.guardian(), GUARDIAN);
        assertTrue(!portal.paused(), "paused from the start");
        expectReason("SuperchainConfig: only guardian can pause");
        superchain.pause("");
        vm.prank(GUARDIAN);
        superchain.pause("a test");
        assertTrue(portal.paused(), "not paused");
        depositFrom(WALLET, WALLET, WALLET);
        expectReason("SuperchainConfig: only guardian can unpause");
        superchain.unpause();
        vm.prank(GUARDIAN);
        superchain.unpause();
        assertTrue(!portal.paused(), "still paused");
        assertEq(uint256(vm.load(address(superchain), named("superchainConfig.guardian"))), uint160(GUARDIAN));
    }

    function depositFrom(address sender, address origin, address expected) private {
        vm.recordLogs();
        vm.prank(sender, origin);
        portal.depositTransaction(WALLET, 0, 21_000, false, "");
        checkDeposit(expected, WALLET, abi.encodePacked(uint256(0), uint256(0), uint64(21_000), uint8(0)));
    }

    function checkDeposit(address from, address to, bytes memory opaqueData) private {
        Vm.Log memory log = theLog();
        assertEq(log.emitter, address(portal));
        assertEq(log.topics.length, 4);
        assertEq(log.topics[0], DEPOSITED);
        assertEq(log.topics[1], bytes32(uint256(uint160(from))));
        assertEq(log.topics[2], bytes32(uint256(uint160(to))));
        assertEq(log.topics[3], bytes32(0));
        assertEq(log.data, abi.encode(opaqueData));
    }

    /// An address that is no contract of the test, of forge or of the EVM.
    function assumePlain(address sender) private view {
        vm.assume(sender.code.length == 0 && uint160(sender) > 0xffff && sender != address(vm));
    }

    function aliased(address sender) private pure returns (address) {
        uint256 sum = uint256(uint160(sender)) + uint256(uint160(0x1111000000000000000000000000000000001111));
        return address(uint160(sum % (1 << 160)));
    }
}

/// @notice Deposits before it has code.
contract Depositor {
    constructor(OptimismPortal portal) {
        portal.depositTransaction(address(0), 0, 21_000, false, "");
    }
}
