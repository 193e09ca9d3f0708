//! The EVM's instructions: revm's, but for one that we do faster.

use revm::{
    bytecode::opcode,
    handler::instructions::EthInstructions,
    interpreter::{
        Instruction, InstructionContext, InstructionExecResult, InstructionResult,
        interpreter::{EthInterpreter, resize_memory},
        interpreter_types::InputsTr,
    },
    primitives::{KECCAK_EMPTY, U256, hardfork::SpecId},
};

use super::Context;

/// The instructions of a fork.
pub(super) fn instructions(spec: SpecId) -> EthInstructions<EthInterpreter, Context> {
    let mut instructions = EthInstructions::new_mainnet_with_spec(spec);
    let table = instructions.instruction_table_mut();
    table[usize::from(opcode::KECCAK256)] = Instruction::new(keccak256);
    instructions
}

/// KECCAK256, with a memory for what was hashed before.
fn keccak256(context: InstructionContext<'_, Context, EthInterpreter>) -> InstructionExecResult {
    let InstructionContext { interpreter, host } = context;
    let gas_params = &host.cfg.gas_params;
    let Some(([offset], top)) = interpreter.stack.popn_top() else {
        return Err(InstructionResult::StackUnderflow);
    };
    let len = size(*top)?;
    if !interpreter.gas.record_regular_cost(gas_params.keccak256_cost(len)) {
        return Err(InstructionResult::OutOfGas);
    }
    let hash = if len == 0 {
        KECCAK_EMPTY
    } else {
        let offset = size(offset)?;
        resize_memory(&mut interpreter.gas, &mut interpreter.memory, gas_params, offset, len)?;
        let owner = interpreter.input.target_address();
        let message = interpreter.memory.slice_len(offset, len);
        host.journaled_state.database.hashes.hash(owner, message.as_ref())
    };
    *top = hash.into();
    Ok(())
}

/// An offset or length in memory. Nobody can pay for one that does not fit a word of this machine.
fn size(word: U256) -> Result<usize, InstructionResult> {
    usize::try_from(word).map_err(|_| InstructionResult::InvalidOperandOOG)
}
