// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Counter} from "../src/Counter.sol";

interface Cheats {
    function startBroadcast() external;
    function stopBroadcast() external;
}

/// Deploys twice, once by CREATE2 through the deterministic deployer, and calls what it deployed.
contract Deploy {
    Cheats private constant vm = Cheats(address(uint160(uint256(keccak256("hevm cheat code")))));

    function run() external {
        vm.startBroadcast();
        Counter counter = new Counter(1);
        counter.increment();
        Counter twin = new Counter{salt: bytes32(uint256(7))}(2);
        twin.set(12);
        vm.stopBroadcast();
        require(counter.number() == 2 && twin.number() == 12, "wrong numbers");
    }
}
