"""Marks the words of the coach for xgettext: scripts/words.py writes this from what its rules say."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _

MARKS = (
    _("%(empty)d of %(count)d samples are empty."),
    _("%(percent).0f %% of the answers are learned behind another beginning than the one they will be asked with."),
    _("%(percent).0f %% of the completions repeat another one of their prompt word for word."),
    _("%(percent).0f %% of the tokens are clipped: most of the gradient is thrown away."),
    _("%(times)d of %(count)d samples say the same, whatever was asked: “%(text)s”."),
    _("A stretch of unusual rows, or a learning rate at the edge of what the model bears."),
    _("Add rankings of texts of like lengths, and watch the length of whatever is trained on this reward."),
    _("Add text, or train for fewer steps."),
    _(
        "All completions of a rollout get the same reward (deviation 0 in %(rollouts)d rollouts): nothing tells good from bad."
    ),
    _("At first %(before).0f %% of the completions ended by themselves; now it is %(now).0f %%."),
    _("Change critic_learning_rate tenfold, downwards first; or take more epochs a rollout."),
    _("Choose the policy that was trained; if it was, raise its learning rate."),
    _("Compare the chat template with the one of its training, and look at the answers that it learned."),
    _("For %(percent).0f %% of the prompts all samples got the same reward: they teach nothing."),
    _("Gather rankings in which the better text is the shorter one too; train for longer, or from a larger model."),
    _("Held-out texts stand among the training texts, or raters copy each other."),
    _("If it does not come back within some steps: lower the learning rate, and look at the rows of those steps."),
    _("In %(percent).0f %% of the conversations the end of the assistant's turn is learned, not in all."),
    _("In %(rollouts)d rollouts running the passes ended early: of %(epochs)d passes %(passes).1f were made."),
    _("It agrees with held-out rankings more often than raters' disagreement allows (%(times).2f times as often)."),
    _("It has learned how long good texts are and little else, or nothing at all."),
    _("It has not learned any order yet: too few steps, too little text, or too low a rate."),
    _(
        "It is right in %(longer).0f %% where the better text is the longer one, and in %(shorter).0f %% where it is the shorter one: much of what it scores is length."
    ),
    _("Its certainty is off by %(off).0f %% on average, even after a temperature."),
    _(
        "Labels that have nothing to do with the texts (shuffled, or judged at random), too few of them, a learning rate that is too low, or a score that is read at a padding token instead of the last one."
    ),
    _("Let people rank its answers against the reference's before it is promoted."),
    _("Let the chat template end each turn with the tokenizer's end token, and give padding a token of its own."),
    _("Look at a conversation: what the assistant says should be a fair part of it."),
    _("Look at accuracy by strength and by length; believe the order of its scores and not their distances."),
    _("Look at how many different answers the data have; lower the learning rate, raise beta or the price of KL."),
    _("Look at ten comparisons: would you agree? Then raise the rate or the epochs, and gather more rankings."),
    _(
        "Look at the reward model's accuracy where the better text is the shorter one; let people rank long against short; cut at fewer tokens, or raise the price of KL."
    ),
    _("Look at which text stands as chosen in both splits."),
    _("Look at which tokens are learned and at what the adapter is put on."),
    _("Look for texts that are in both splits, and at raters who agree too well."),
    _("Lower critic_learning_rate, and look at the curve of rewards."),
    _("Lower the learning rate or the epochs a rollout."),
    _("Lower the learning rate or the epochs, raise beta, or let sft be falling."),
    _("Lower the learning rate three- to tenfold, or warm up for longer."),
    _("Lower the learning rate, and look at the critic's explained variance."),
    _("Lower the learning rate, or raise kl_coefficient. In online DPO, raise beta."),
    _("Lower the learning rate, or raise max_grad_norm where the recipe has it."),
    _("Lower the learning rate, raise kl_coefficient, and read the samples."),
    _("Lower the learning rate, raise kl_coefficient, or shorten kl_horizon."),
    _("Lower the learning rate; raising stop_kl alone lets the policy run away from its rollout."),
    _("Nearly every gradient is cut to less than a tenth: their norm is about %(norm).1f, and the bound %(bound).1f."),
    _("None of the %(count)d samples ended within %(limit)d tokens, twice running."),
    _("Nothing that is trained has a say in the loss: the weights are frozen, or no token is learned."),
    _("Of %(count)d completions %(percent).0f %% ended by themselves; the others were cut at %(limit)d tokens."),
    _(
        "On %(n)d held-out comparisons it is right in %(right).0f %% (95 %%: %(low).0f to %(high).0f), which a coin may be too."
    ),
    _("On %(n)d held-out comparisons it is right in %(right).0f %%: less often than a coin."),
    _(
        "On held-out comparisons it is right in %(right).0f %%; who only looks at which text is longer, in %(length).0f %%."
    ),
    _(
        "On held-out text the model does worse than counting pairs of tokens: %(ours).3f bits a byte against %(counted).3f."
    ),
    _("Only %(percent).1f %% of the tokens that are read are learned."),
    _("Only differences of scores are learned; nothing holds their mean near 0."),
    _("Policy and reference give the very same answers (KL %(kl).6f)."),
    _("Questions are far longer than their answers, or the chat template hides most of the answers."),
    _("Raise center_rewards."),
    _("Raise the learning rate tenfold; if that changes nothing, look at the rows."),
    _("Raise the temperature or the samples a prompt, choose other prompts, or look at the reward model."),
    _("Raise the temperatures or top_p, or take completions from several models."),
    _("Raters preferred texts of one length most of the time, so that length is the easiest thing to learn."),
    _("Read the samples, and let people rank them against the reference's before going on."),
    _("Repair the chat template: a conversation must begin with the very text that asks for its answer."),
    _(
        "Rewards and lengths rise together (correlation %(together).2f): completions went from %(before).0f to %(now).0f tokens."
    ),
    _(
        "Rewards have drifted to %(mean).1f deviations of the first rollout's, close to where they are cut (%(bound).1f)."
    ),
    _("Sample and measure at one temperature, without top_p."),
    _("Score a few texts with the reward model, and look at its held-out accuracy."),
    _("Scores have drifted to about %(mean).1f, while those of one batch differ by %(span).1f."),
    _("Set missing_eos_penalty, allow more tokens, or look at whether the reward model likes length."),
    _("Set target_kl (6 is a good beginning), or raise kl_coefficient; judge earlier checkpoints by people."),
    _("Single steps move the policy beyond stop_kl: the learning rate is too high for it."),
    _("Some kinds of comparisons are far easier for it than others, which one temperature can't put right."),
    _("Steps are too large, or advantages have the wrong sign or come from a critic that misleads."),
    _(
        "The KL explodes: the learning rate is too high, or the price of KL too low to hold the policy. So far from the reference, the reward model is being fooled rather than pleased."
    ),
    _(
        "The KL to the reference has doubled twice in 3 rollouts: %(first).1f, %(second).1f, %(third).1f nats a completion."
    ),
    _("The KL to the reference is measured as %(kl).1f nats a completion; a KL is never negative."),
    _("The better and the worse text are swapped, in the training rows or in the held-out ones."),
    _(
        "The chat template begins an answer in one way in a conversation and in another where it asks for one (add_generation_prompt): what was learned will not be found again."
    ),
    _(
        "The chat template writes no end token behind an answer, or the end token is the padding token too and is masked with it: the model will never stop by itself."
    ),
    _(
        "The completions are not samples of the policy that is measured: another temperature, other weights, or a cut of the distribution."
    ),
    _("The corpus is small for so many steps; what is read a seventeenth time teaches next to nothing."),
    _("The critic explains %(percent).0f %% of the variance of what is achieved; a constant would explain 0."),
    _("The critic's learning rate is so high that it jumps or dies, or so low that it never follows."),
    _("The critic's learning rate is too high, or the rewards have grown far beyond their first scale."),
    _("The critic's loss is %(now).3g, where scores are cut at %(bound).1f deviations."),
    _("The gradient has been 0 for %(steps)d steps (its norm is %(norm).1e)."),
    _("The held-out loss was %(best).3f at best and is %(now).3f now, while the trained one still falls."),
    _("The learning rate is too high, or the price of KL reacts too slowly."),
    _("The learning rate is too high: each step undoes more than it learns."),
    _("The learning rate is too low to move anything, or what is to be learned has nothing to do with what is read."),
    _("The loss asks for a distance between both texts alone, and at this rate the quickest way is to push both down."),
    _("The loss began at %(first).3f and is at %(now).3f."),
    _("The loss has jumped from about %(before).3f to %(now).3f."),
    _("The loss is where it began: %(first).4f, and now %(last).4f."),
    _(
        "The model ends before it says anything: it is asked in another form than it was trained with (chat template), or its training answers are empty."
    ),
    _(
        "The model has collapsed onto one answer: the data say one thing, the rate is too high, or the reward likes one text above all."
    ),
    _("The model is too sure of itself at these temperatures: there is nothing to rank between equal texts."),
    _("The model learns its rows by heart: too many passes over too few of them."),
    _("The policy hardly varies any more: its entropy fell from %(before).2f to %(now).2f nats a token."),
    _("The policy has collapsed onto few texts: the learning rate is too high, or KL too cheap."),
    _("The policy is %(kl).1f nats a completion from the reference, and nothing holds it."),
    _("The policy moves too far from the one that sampled, within one rollout."),
    _(
        "The policy scores higher and writes far longer: %(policy).0f tokens where the reference writes %(reference).0f."
    ),
    _(
        "The policy was %(kl).1f nats a completion or more from the reference in %(rollouts)d rollouts in a row, over %(times)g times the target of %(target)g: training ended early."
    ),
    _("The policy writes texts unlike any that the reward model was trained on: it has found something that it likes."),
    _(
        "The preferred texts have become %(nats).2f nats a token less likely than under the reference: the model is unlearning them too."
    ),
    _(
        "The preferred texts have become %(nats).2f nats a token less likely than under the reference: the model is unlearning them too. From step %(step)s on an SFT term of weight %(weight)g holds them up."
    ),
    _(
        "The reward has fallen from %(before).2f to %(now).2f: the policy gets worse at the one thing it is trained for."
    ),
    _("The reward is constant, the prompts are too easy or too hard for the policy, or its samples hardly differ."),
    _(
        "The reward is constant: the reward model scores every text alike, every score is cut at reward_clip, or all completions are the same."
    ),
    _("The reward may pay for length: writing more is the easiest way to score more, whether it is better or not."),
    _("The reward pays for going on: the policy has found out that it need not stop."),
    _("The reward pays for length: writing more is the easiest way to score more, whether it is better or not."),
    _("The scale of the model or of the loss is unusual, so that the bound alone decides how far a step goes."),
    _("The text was read %(times).0f times over."),
    _("There is no target of KL, and its price is too low for this learning rate."),
    _("They are the same model: it was chosen twice, or training has changed nothing."),
    _("Train for fewer epochs or at a lower rate, or gather more data."),
    _("Train for more steps, or on more text."),
    _("accuracy against chance and length"),
    _("entropy"),
    _("gradients"),
    _("held-out figures"),
    _("lengths"),
    _("rewards"),
    _("the KL to the reference"),
    _("the critic"),
    _("the loss"),
    _("the preferred texts' likelihood"),
    _("the scale of scores"),
    _("the size of steps"),
    _("whether answers differ"),
    _("whether answers end"),
    _("which tokens are learned"),
)
