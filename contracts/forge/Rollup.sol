// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OptimismPortal} from "../src/l1/OptimismPortal.sol";
import {ProxyAdmin} from "../src/proxy/ProxyAdmin.sol";
import {RollupDeployment} from "../src/l1/RollupDeployment.sol";
import {SuperchainConfig} from "../src/l1/SuperchainConfig.sol";
import {SystemConfig} from "../src/l1/SystemConfig.sol";
import {Test} from "./Test.sol";

/// @notice A rollup, deployed as they all are.
abstract contract Rollup is Test {
    address internal constant OWNER = address(0x0123);
    address internal constant GUARDIAN = address(0x0456);

    RollupDeployment.Implementations internal code;
    RollupDeployment internal rollup;
    ProxyAdmin internal admin;
    SuperchainConfig internal superchain;
    SystemConfig internal config;
    OptimismPortal internal portal;

    function setUp() public virtual {
        vm.roll(1_000);
        code = RollupDeployment.Implementations(
            address(new SuperchainConfig()), address(new SystemConfig()), address(new OptimismPortal())
        );
        rollup = new RollupDeployment(code, GUARDIAN, settings());
        admin = rollup.proxyAdmin();
        superchain = rollup.superchainConfig();
        config = rollup.systemConfig();
        portal = rollup.optimismPortal();
    }

    function settings() internal pure returns (SystemConfig.Settings memory) {
        return SystemConfig.Settings({
            owner: OWNER,
            batcherHash: bytes32(uint256(0xba7c4e5)),
            gasLimit: 60_000_000,
            basefeeScalar: 1_368,
            blobbasefeeScalar: 810_949,
            eip1559Denominator: 250,
            eip1559Elasticity: 6,
            operatorFeeScalar: 11,
            operatorFeeConstant: 12,
            unsafeBlockSigner: address(0x5191e4),
            batchInbox: address(0x1b0c),
            l2ChainId: 901
        });
    }

    /// @dev Where the OP Stack's contracts have what is not in numbered slots.
    function named(string memory name) internal pure returns (bytes32) {
        return bytes32(uint256(keccak256(bytes(name))) - 1);
    }
}
