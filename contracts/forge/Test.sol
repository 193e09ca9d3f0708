// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The part of forge's own instructions that the tests use.
interface Vm {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    function assume(bool condition) external pure;
    function deal(address account, uint256 balance) external;
    function etch(address target, bytes calldata code) external;
    function expectRevert(bytes calldata data) external;
    function fee(uint256 baseFee) external;
    function getRecordedLogs() external returns (Log[] memory);
    function load(address target, bytes32 slot) external view returns (bytes32);
    function prank(address sender) external;
    function prank(address sender, address origin) external;
    function recordLogs() external;
    function roll(uint256 number) external;
}

/// @notice What a test needs of a library, and no more: so that the tests come with no dependency.
abstract contract Test {
    /// @dev address(uint160(uint256(keccak256("hevm cheat code"))))
    Vm internal constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

    error NotEqual(bytes left, bytes right);

    function assertEq(uint256 left, uint256 right) internal pure {
        if (left != right) revert NotEqual(abi.encode(left), abi.encode(right));
    }

    function assertEq(address left, address right) internal pure {
        if (left != right) revert NotEqual(abi.encode(left), abi.encode(right));
    }

    function assertEq(bytes32 left, bytes32 right) internal pure {
        if (left != right) revert NotEqual(abi.encode(left), abi.encode(right));
    }

    function assertEq(bytes memory left, bytes memory right) internal pure {
        if (keccak256(left) != keccak256(right)) revert NotEqual(left, right);
    }

    function assertTrue(bool condition, string memory reason) internal pure {
        require(condition, reason);
    }

    /// @dev A number from `min` to `max`, both included.
    function bound(uint256 number, uint256 min, uint256 max) internal pure returns (uint256) {
        if (min == 0 && max == type(uint256).max) return number;
        return min + number % (max - min + 1);
    }

    function expectReason(string memory reason) internal {
        vm.expectRevert(abi.encodeWithSignature("Error(string)", reason));
    }

    function expectError(bytes4 selector) internal {
        vm.expectRevert(abi.encodePacked(selector));
    }

    /// @dev The one log since `vm.recordLogs()`.
    function theLog() internal returns (Vm.Log memory) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, 1);
        return logs[0];
    }
}
