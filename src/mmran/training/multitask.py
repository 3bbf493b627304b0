"""One network, one optimizer, Dice and focal loss under a schedule of task weights (sections 3.3 and 3.4)."""

import torch
from torch import Tensor

from mmran.data.batches import Batch
from mmran.networks.output import NetworkOutput
from mmran.training.losses import compound_loss, dice_loss, focal_loss
from mmran.training.named import named
from mmran.training.optimizers import make_optimizer
from mmran.training.recipe import Recipe, Stage
from mmran.training.schedules import task_weights


class Multitask(Recipe):
    """Compound loss for networks with both tasks; the one loss that applies for networks with one (Eqs. 11-15)."""

    def begin(self, stage: Stage) -> None:
        """Create the optimizer over all trainable parameters; Adam in the paper (section 4.2)."""
        trainable = [p for p in self.network.parameters() if p.requires_grad]
        self.optimizers = {"network": make_optimizer(trainable, self.experiment.training)}

    def values(self, stage: Stage, epoch: int) -> dict[str, float]:
        """The weight of the classification loss, for a network with both tasks."""
        return {"alpha": self._alpha(stage, epoch)} if len(self.network.tasks) == 2 else {}

    def _alpha(self, stage: Stage, epoch: int) -> float:
        return task_weights(self.experiment.schedule, epoch, stage.epochs).classification

    def step(self, batch: Batch, stage: Stage, epoch: int) -> dict[str, Tensor]:
        """One step of the optimizer."""
        alpha, optimizer = self._alpha(stage, epoch), self.optimizers["network"]
        optimizer.zero_grad(set_to_none=True)
        totals: dict[str, Tensor] = {}
        for (images, masks, labels), share in ((part.batch, part.share) for part in self.micro_batches(batch)):
            with self.autocast():
                output = self.forward(images, stage)
            losses = self._losses(output, masks, labels, alpha)
            self.backward(losses["loss"] * share)
            for name, value in losses.items():
                totals[name] = totals.get(name, 0.0) + value.detach() * share
        self.update(optimizer)
        return totals

    def forward(self, images: Tensor, stage: Stage) -> NetworkOutput:
        """The output that the losses of a stage are computed on."""
        output: NetworkOutput = self.network(images)
        return output

    def _losses(self, output: NetworkOutput, masks: Tensor, labels: Tensor, alpha: float) -> dict[str, Tensor]:
        """Loss name -> scalar, the total first."""
        options, terms = self.experiment.loss, {}
        if output.mask_logits is not None:
            if options.segmentation:
                terms["segmentation_loss"] = named("loss.segmentation", options.segmentation, {})(
                    output.mask_logits, masks
                )
            else:
                terms["dice_loss"] = dice_loss(output.mask_logits, masks, reading=options.dice)
        if output.class_logits is not None:
            heads = output.auxiliary or (output.class_logits,)
            losses = [self._class_loss(head, labels) for head in heads]
            terms["classification_loss" if options.classification else "focal_loss"] = torch.stack(losses).mean()
        if len(terms) == 2:
            mask_loss, class_loss = terms.values()
            return {"loss": compound_loss(mask_loss, class_loss, alpha), **terms}
        (only,) = terms.values()
        return {"loss": only, **terms}

    def _class_loss(self, class_logits: Tensor, labels: Tensor) -> Tensor:
        options = self.experiment.loss
        if options.classification:
            loss: Tensor = named("loss.classification", options.classification, {})(class_logits, labels)
            return loss
        return focal_loss(class_logits, labels, alpha=options.focal_alpha, gamma=options.focal_gamma)
