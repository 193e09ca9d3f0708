// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ResourceConfig} from "../src/l1/ResourceConfig.sol";
import {ResourceMetering} from "../src/l1/ResourceMetering.sol";
import {Rollup} from "./Rollup.sol";
import {Test} from "./Test.sol";

/// @notice The market on its own, under rules that a test can choose.
contract Market is ResourceMetering {
    ResourceConfig private rules;

    constructor(ResourceConfig memory _rules) {
        rules = _rules;
        _initializeMetering();
    }

    function buy(uint64 amount) external {
        _meter(amount, gasleft());
    }

    function nextBaseFee(uint256 baseFee, uint256 bought, uint256 blocks) external view returns (uint256) {
        return _nextBaseFee(rules, baseFee, bought, blocks);
    }

    function _resourceConfig() internal view override returns (ResourceConfig memory) {
        return rules;
    }
}

contract ResourceMeteringTest is Test {
    uint256 private constant LIMIT = 20_000_000;
    uint256 private constant TARGET = LIMIT / 10;

    Market private market;

    function setUp() public {
        vm.roll(100);
        vm.fee(1 gwei);
        market = new Market(ResourceConfig(uint32(LIMIT), 10, 8, 1 gwei, 1_000_000, type(uint128).max));
    }

    function testFuzz_ThePriceFollowsDemand(uint128 baseFee, uint64 bought) public view {
        baseFee = uint128(bound(baseFee, 8 gwei, type(uint120).max));
        bought = uint64(bound(bought, 0, LIMIT));
        uint256 next = market.nextBaseFee(baseFee, bought, 1);
        // At the target it stands still; it falls by at most an eighth, and rises by at most nine eighths.
        if (bought == TARGET) assertEq(next, baseFee);
        if (bought < TARGET) assertTrue(next <= baseFee && next >= baseFee - baseFee / 8, "without demand");
        if (bought > TARGET) assertTrue(next >= baseFee && next <= uint256(baseFee) + uint256(baseFee) * 9 / 8, "with demand");
        if (bought == LIMIT) assertEq(next, uint256(baseFee) + uint256(baseFee) * 9 / 8);
    }

    /// The specification's formula, in signed numbers.
    function testFuzz_OneBlockIsTheSpecifications(uint128 baseFee, uint64 bought) public view {
        baseFee = uint128(bound(baseFee, 1 gwei, type(uint128).max));
        bought = uint64(bound(bought, 0, LIMIT));
        int256 delta = int256(uint256(bought)) - int256(TARGET);
        int256 wide = int256(uint256(baseFee)) + int256(uint256(baseFee)) * delta / int256(TARGET) / 8;
        uint256 expected = uint256(wide);
        if (expected < 1 gwei) expected = 1 gwei;
        if (expected > type(uint128).max) expected = type(uint128).max;
        uint256 next = market.nextBaseFee(baseFee, bought, 1);
        assertTrue(next + 1 >= expected && next <= expected + 1, "differs by more than rounding");
    }

    /// Empty blocks one by one come to the same as all at once, up to rounding.
    function testFuzz_EmptyBlocksTakeAnEighthEach(uint128 baseFee, uint256 blocks) public view {
        baseFee = uint128(bound(baseFee, 1 gwei, type(uint128).max));
        blocks = bound(blocks, 1, 600);
        uint256 stepwise = baseFee;
        for (uint256 i = 0; i < blocks; i++) {
            stepwise = market.nextBaseFee(stepwise, 0, 1);
        }
        uint256 atOnce = market.nextBaseFee(baseFee, 0, blocks);
        uint256 difference = atOnce > stepwise ? atOnce - stepwise : stepwise - atOnce;
        assertTrue(difference <= 100, "the shortcut leads elsewhere");
    }

    function testFuzz_ThePriceStaysInBounds(uint128 baseFee, uint64 bought, uint64 blocks) public view {
        uint256 next = market.nextBaseFee(baseFee, bound(bought, 0, LIMIT), bound(blocks, 1, type(uint64).max));
        assertTrue(next >= 1 gwei && next <= type(uint128).max, "out of bounds");
    }

    /// Whatever the rules, as long as they are any: no price overflows or divides by zero.
    function testFuzz_OddRulesNeverGetStuck(
        uint32 limit,
        uint8 elasticity,
        uint8 denominator,
        uint32 minimum,
        uint128 maximum,
        uint64 bought,
        uint64 blocks
    ) public {
        elasticity = uint8(bound(elasticity, 1, 255));
        limit = uint32(bound(limit, elasticity, type(uint32).max));
        denominator = uint8(bound(denominator, 2, 255));
        maximum = uint128(bound(maximum, minimum, type(uint128).max));
        Market odd = new Market(ResourceConfig(limit, elasticity, denominator, minimum, 0, maximum));
        uint256 next = odd.nextBaseFee(maximum, bound(bought, 0, limit), bound(blocks, 1, type(uint64).max));
        assertTrue(next >= minimum && next <= maximum, "out of bounds");
    }

    function testFuzz_ABlockSellsNoMoreThanItsLimit(uint64 first, uint64 second) public {
        first = uint64(bound(first, 0, LIMIT));
        vm.fee(type(uint64).max);
        market.buy(first);
        if (uint256(first) + second > LIMIT) expectError(ResourceMetering.OutOfGas.selector);
        market.buy(second);
        vm.roll(101);
        market.buy(uint64(LIMIT));
    }

    /// An amount that would wrap around is too much like any other.
    function test_NoAmountWrapsAround() public {
        market.buy(21_000);
        expectError(ResourceMetering.OutOfGas.selector);
        market.buy(type(uint64).max);
    }

    function testFuzz_TheStateIsTheLastPurchase(uint64 first, uint64 second, uint64 blocks) public {
        first = uint64(bound(first, 0, LIMIT));
        second = uint64(bound(second, 0, LIMIT));
        blocks = uint64(bound(blocks, 1, 1_000));
        vm.fee(type(uint64).max);
        market.buy(first);
        uint256 expected = market.nextBaseFee(1 gwei, first, blocks);
        vm.roll(100 + blocks);
        market.buy(second);
        (uint128 baseFee, uint64 bought, uint64 number) = market.params();
        assertEq(baseFee, expected);
        assertEq(bought, second);
        assertEq(number, 100 + blocks);
    }

    /// At a gwei on both layers, a unit of L2 gas costs a unit of L1 gas, of which the call itself is a part.
    function testFuzz_TheCostIsBurnt(uint64 amount, uint256 l1BaseFee) public {
        amount = uint64(bound(amount, 0, LIMIT));
        l1BaseFee = bound(l1BaseFee, 0, 1_000 gwei);
        vm.fee(l1BaseFee);
        uint256 cost = uint256(amount) * 1 gwei / (l1BaseFee > 1 gwei ? l1BaseFee : 1 gwei);
        uint256 before = gasleft();
        market.buy(amount);
        uint256 used = before - gasleft();
        assertTrue(used >= cost, "less was burnt than the gas costs");
        assertTrue(used <= cost + 40_000, "more was burnt than the gas costs");
    }
}

contract PortalMeteringTest is Rollup {
    /// A deposit that asks for a million gas is metered as a million, and burns it.
    function test_ADepositIsMetered() public {
        vm.fee(1 gwei);
        uint256 before = gasleft();
        portal.depositTransaction(address(this), 0, 1_000_000, false, "");
        uint256 used = before - gasleft();
        assertTrue(used >= 1_000_000 && used < 1_050_000, "the cost is not what the gas costs");
        (uint128 baseFee, uint64 bought, uint64 number) = portal.params();
        assertEq(baseFee, 1 gwei);
        assertEq(bought, 1_000_000);
        assertEq(number, 1_000);
    }

    function test_DepositsOfABlockShareItsLimit() public {
        vm.fee(1_000 gwei);
        portal.depositTransaction(address(this), 0, 19_979_000, false, "");
        portal.depositTransaction(address(this), 0, 21_000, false, "");
        expectError(ResourceMetering.OutOfGas.selector);
        portal.depositTransaction(address(this), 0, 21_000, false, "");
        vm.roll(1_001);
        portal.depositTransaction(address(this), 0, 21_000, false, "");
        // The block before had ten times the target: nine eighths more.
        (uint128 baseFee,,) = portal.params();
        assertEq(baseFee, 2.125 gwei);
    }
}
